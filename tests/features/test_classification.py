import jax
import numpy as np
import pytest

from sde_jax.data import Arrays, Scaling, Splits
from sde_jax.errors import InputError, RunError
from sde_jax.features.classification import Training, accuracy, counts, suited, train, units
from sde_jax.nn.classifiers import Convolutional, Perceptron

TINY = Perceptron(2, features=8, width=16, depth=1)


def two_gaussians(count: int, seed: int) -> Arrays:
    """On a line, at 90 and 110 with deviation 10."""
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, 2, count)
    return Arrays((90 + 20 * labels + 10 * draws.normal(size=count)).astype(np.float32)[:, None], labels)


LINE = Splits(two_gaussians(4000, 0), two_gaussians(4000, 1), (1,), None, Scaling((100.0,), (14.0,)))


def test_two_gaussians_are_told_apart_as_well_as_can_be():
    params = train(TINY, LINE, Training(steps=150))
    assert accuracy(TINY, params, LINE) == pytest.approx(0.8413, abs=0.015)  # the normal distribution at 1


def test_a_classifier_is_a_function_of_the_seed():
    one, same, other = (train(TINY, LINE, Training(steps=3, seed=seed)) for seed in (1, 1, 2))
    assert jax.tree.all(jax.tree.map(np.array_equal, one, same))
    assert not jax.tree.all(jax.tree.map(np.array_equal, one, other))


def test_convolutions_tell_stripes_by_their_direction():
    draws = np.random.default_rng(0)
    stripes = np.where(np.arange(16) // 2 % 2, 200, 50)
    labels = draws.integers(0, 2, 128)
    images = [np.broadcast_to(stripes if label else stripes[:, None], (16, 16)) for label in labels]
    images = [np.roll(image, draws.integers(0, 4, 2), (0, 1)) for image in images]
    data = Arrays(np.stack(images)[..., None].astype(np.uint8), labels)
    splits, classifier = Splits(data, data, (16, 16, 1), 256), Convolutional(2, 8, channels=(8,))
    params = train(classifier, splits, Training(steps=60, batch_size=32, learning_rate=1e-2))
    assert accuracy(classifier, params, splits) == 1.0


def test_levels_fill_minus_one_to_one_and_real_numbers_keep_their_scaling():
    levels = units(Splits(LINE.train, LINE.held_out, (1,), 17))
    assert [(level - levels.shift[0]) / levels.scale[0] for level in (0, 8, 16)] == [-1, 0, 1]
    assert units(LINE) == LINE.scaling


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((8, 8, 1), Perceptron(4, 64)),
        ((5,), Perceptron(4, 64)),
        ((100, 50), Perceptron(4, 64)),
        ((32, 32, 3), Convolutional(4, 64, (64, 128, 256))),
        ((28, 30, 1), Convolutional(4, 64, (64, 128, 256))),
        ((64, 64, 3), Convolutional(4, 64, (64, 128, 256, 256))),
    ],
)
def test_the_classifier_suits_the_shape(shape, expected):
    assert suited(shape, 4, 64) == expected


def test_classes_are_counted_and_examples_without_a_label_refused():
    data = np.zeros((4, 2), np.float32)
    np.testing.assert_array_equal(counts(Arrays(data, [0, 2, 2, 0])), [2, 0, 2])
    with pytest.raises(InputError, match="2 of 4 training examples have no label"):
        counts(Arrays(data, [0, -1, 1, -1]))
    with pytest.raises(InputError, match="all training examples are of class 3"):
        counts(Arrays(data, [3, 3, 3, 3]))


def test_without_held_out_examples_there_is_no_accuracy():
    nothing = Arrays(np.zeros((0, 1), np.float32))
    assert accuracy(TINY, None, Splits(LINE.train, nothing, (1,), None)) is None


def test_a_loss_that_is_not_finite_ends_the_training():
    with pytest.raises(RunError, match="smaller learning rate"):
        train(TINY, LINE, Training(steps=6, learning_rate=1e38))


@pytest.mark.parametrize("field", [{"steps": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"seed": -1}])
def test_settings_out_of_range_are_refused(field):
    with pytest.raises(InputError, match="expected 1 or more steps"):
        Training(**field)
