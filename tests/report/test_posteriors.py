import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.report import calibration_picture, restoration_picture

RNG = np.random.default_rng(0)
SAMPLES = RNG.integers(0, 256, (5, 8, 8, 1), np.uint8)
HIDDEN = [213, 94, 0]


def restored(known: np.ndarray, samples: np.ndarray = SAMPLES, truth=None, deviation=None, remarks=()):
    spread = samples.std(0).mean(-1) if deviation is None else deviation
    mean = samples.mean(0).astype(np.uint8)
    return np.asarray(restoration_picture(samples[0], known, samples, mean, spread, truth, remarks))


def share_hidden(picture: np.ndarray) -> float:
    return float(np.mean(np.all(picture == HIDDEN, -1)))


def test_what_was_not_measured_is_orange_and_nothing_else_is():
    known = np.ones((8, 8), bool)
    assert share_hidden(restored(known)) == 0
    half, quarter = known.copy(), known.copy()
    half[:4], quarter[:4, :4] = False, False
    assert share_hidden(restored(half)) == pytest.approx(2 * share_hidden(restored(quarter)), rel=0.1)
    assert share_hidden(restored(half)) > 0.01


def test_there_is_a_tile_for_each_sample_up_to_sixteen():
    many = RNG.integers(0, 256, (40, 8, 8, 3), np.uint8)
    heights = [restored(np.ones((8, 8), bool), many[:m]).shape[0] for m in (4, 8, 16, 40)]
    assert heights[0] < heights[1] < heights[2] == heights[3]


def test_a_known_truth_is_shown_and_remarks_have_room():
    plain = restored(np.ones((8, 8), bool))
    assert (restored(np.ones((8, 8), bool), truth=SAMPLES[1]) != plain).any()
    assert restored(np.ones((8, 8), bool), remarks=("one", "two")).shape[0] > plain.shape[0]


@pytest.mark.parametrize(
    ("known", "deviation", "what"),
    [
        (np.ones((8, 7), bool), None, "expected one for each pixel"),
        (np.ones((8, 8), bool), np.full((8, 8), np.nan), "expected finite numbers"),
        (np.ones((8, 8), bool), np.zeros((4, 4)), "expected finite numbers"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(known, deviation, what):
    with pytest.raises(InputError, match=what):
        restored(known, deviation=deviation)


def test_calibration_is_three_diagrams_side_by_side():
    coverage = [(0.5, 0.48, 0.01), (0.9, 0.91, 0.02)]
    picture = calibration_picture(coverage, [3, 4, 5, 4], {"mean": [1, 2, 3], "$energy": [2, 2, 2]}, ("a remark",))
    assert picture.mode == "RGB"
    assert picture.size[0] > 2 * picture.size[1]
    with pytest.raises(InputError, match="not finite"):
        calibration_picture([(0.5, np.nan, 0.1)], [1, 2], {})
