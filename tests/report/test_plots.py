import re
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.report import (
    DARK,
    LIGHT,
    image_grid,
    likelihood_histogram,
    loss_by_noise_level,
    losses_by_noise_level,
    marginals,
    scatter,
    training_curve,
)
from sde_jax.report.plots import _running_mean, block_means
from sde_jax.report.values import value_text

STEPS = np.arange(1, 101)
LOSS = np.exp(-STEPS / 10)
LEVELS = np.linspace(-9, 9, 9), np.exp(-STEPS[:, None] / np.arange(5, 13))
DIAGRAMS = {
    "losses_by_noise_level": lambda **look: losses_by_noise_level(STEPS, *LEVELS, **look),
    "training_curve": lambda **look: training_curve({"training": (STEPS, LOSS)}, **look),
    "loss_by_noise_level": lambda **look: loss_by_noise_level(np.linspace(-9, 9, 100), LOSS, **look),
    "likelihood_histogram": lambda **look: likelihood_histogram(3 + LOSS, 3.9, **look),
}


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def random_images(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("columns", "scale"), [(None, None), (3, 1), (1, 4), (7, 13)])
def test_every_image_is_found_again_in_the_grid(channels, columns, scale):
    images = random_images(7, 5, 4, channels)
    picture = image_grid(images, columns, scale)
    assert picture.mode == {1: "L", 3: "RGB"}[channels]
    scale = scale or round(600 / (3 * 5))
    columns = columns or 3
    line = max(1, scale * 4 // 24)
    rows = -(-7 // columns)
    assert picture.size == (columns * (4 * scale + line) + line, rows * (5 * scale + line) + line)
    pixels = np.asarray(picture).reshape(picture.height, picture.width, channels)
    for index, image in enumerate(images):
        top = index // columns * (5 * scale + line) + line
        left = index % columns * (4 * scale + line) + line
        tile = pixels[top : top + 5 * scale, left : left + 4 * scale]
        np.testing.assert_array_equal(tile, np.kron(image, np.ones((scale, scale, 1), np.uint8)))


@pytest.mark.parametrize("size", [8, 16, 28, 32, 64])
def test_a_grid_of_small_images_is_about_600_pixels(size):
    picture = image_grid(np.zeros((64, size, size, 1), np.uint8))
    assert picture.width == picture.height
    assert 500 <= picture.width <= 700


@pytest.mark.parametrize("name", DIAGRAMS)
@pytest.mark.parametrize("width", [380, 880])
def test_a_diagram_has_the_size_asked_for_and_refers_to_nothing_outside(name, width):
    svg = DIAGRAMS[name](width=width)
    root = ElementTree.fromstring(svg)
    assert [float(number) for number in root.get("viewBox").split()] == [0, 0, width, 240 + width / 8]
    for element in root.iter():
        for key, value in element.attrib.items():
            if key.endswith(("href", "src")):
                assert value.startswith("#")
    assert not re.findall(r"url\((?!#)", svg)


@pytest.mark.slow
@pytest.mark.parametrize("name", DIAGRAMS)
def test_a_diagram_depends_on_its_arguments_alone(name):
    before = dict(matplotlib.rcParams)
    first = DIAGRAMS[name](theme=DARK)
    assert dict(matplotlib.rcParams) == before
    with matplotlib.rc_context({"axes.labelpad": 30, "axes.linewidth": 5, "text.parse_math": True}):
        assert DIAGRAMS[name](theme=DARK) == first
    assert DIAGRAMS[name](theme=LIGHT) != first


@pytest.mark.parametrize("name", ["<b>&amp;</b>", "$\\frac$", "_private", "訓練", 'a"b', "{0} %s"])
def test_a_series_keeps_its_name_whatever_it_is(name):
    shown = [text.removeprefix("\N{ZERO WIDTH SPACE}") for text in texts(training_curve({name: (STEPS, LOSS)}))]
    assert name in shown


def test_a_name_that_xml_cannot_hold_leaves_the_document_well_formed():
    assert "a\N{REPLACEMENT CHARACTER}b" in texts(training_curve({"a\x00b": (STEPS, LOSS)}))


def test_losses_that_are_not_finite_are_counted():
    broken = LOSS.copy()
    broken[[3, 50, 51]] = np.nan, np.inf, -np.inf
    assert "training (3 not finite)" in texts(training_curve({"training": (STEPS, broken)}))


def test_the_running_mean_keeps_a_constant_and_its_gaps():
    values = np.full(200, 0.7)
    values[40:60] = np.nan
    np.testing.assert_allclose(_running_mean(values), values)


@pytest.mark.parametrize("blocks", [1, 7, 100])
def test_block_means_leave_out_gaps_only(blocks):
    values = np.where(STEPS % 9 == 0, np.nan, LOSS)
    expected = [
        np.nanmean(block)
        for block in np.split(values, [i * 100 // blocks for i in range(1, blocks)])
        if np.isfinite(block).any()
    ]
    means = block_means(values, blocks)
    np.testing.assert_allclose(means[np.isfinite(means)], expected)


def lines_of(svg) -> list[tuple[str, int]]:
    """The style and the number of points of each line that is not of the axes."""
    paths = ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
    drawn = [path for path in paths if "stroke-width: 2" in path.get("style", "") and "clip-path" in path.attrib]
    return [(path.get("style"), path.get("d").count("L") + 1) for path in drawn]


def test_every_noise_level_with_a_loss_has_a_line_of_its_own():
    losses = LEVELS[1].copy()
    losses[:, 3] = np.nan
    losses[:50, 0] = np.nan
    drawn = losses_by_noise_level(STEPS, LEVELS[0], losses)
    styles, points = zip(*lines_of(drawn), strict=True)
    assert len(set(styles)) == 7
    assert points == (30, *[60] * 6), "means over 60 blocks of steps"
    names = [text for text in texts(drawn) if " to " in text]
    assert names[:2] == ["\N{MINUS SIGN}9 to \N{MINUS SIGN}6.8", "\N{MINUS SIGN}6.8 to \N{MINUS SIGN}4.5"]
    assert len(names) == 7
    assert "log SNR, ln(α²/σ²)" in texts(drawn)


def test_losses_are_logarithmic_only_where_positive_and_wide():
    assert {"0.01", "0.1"} <= set(texts(training_curve({"wide": (STEPS, 10.0 ** (-STEPS / 25))})))
    for loss in (1 + LOSS, LOSS - 0.5):
        assert "0.01" not in texts(training_curve({"narrow": (STEPS, loss)}))


def test_the_histogram_states_the_mean_with_its_standard_error():
    values = np.random.default_rng(0).normal(3.4, 0.3, 500)
    error = np.std(values, ddof=1) / np.sqrt(500)
    assert f"model, mean {values.mean():.3f} ± {error:.3f}" in texts(likelihood_histogram(values))
    given = likelihood_histogram(values, standard_error=0.2)
    assert f"model, mean {values.mean():.2f} ± 0.20" in texts(given)
    assert "baseline, mean 8" in texts(likelihood_histogram(values, baseline=8.0))
    assert "variational bound, mean 3.50 ± 0.10" in texts(likelihood_histogram(values, bound=(3.5, 0.1)))
    assert "variational bound, mean 3.5" in texts(likelihood_histogram(values, bound=(3.5, None)))


@pytest.mark.parametrize("values", [[3.0], [3.0, 3.0], [1e6, 1e6 + 1e-9]])
def test_a_distribution_of_one_value_is_drawn(values):
    assert "negative log-likelihood, bits per dimension" in texts(likelihood_histogram(values, baseline=values))


def test_a_mean_has_the_digits_that_its_error_supports():
    assert [value_text(value) for value in (12345.6, -1e5, 0.0012345)] == ["12,346", "-100,000", "0.001234"]
    assert [value_text(3.14159, error) for error in (None, 0.0, 0.0123, 0.5, 12.0)] == [
        "3.142",
        "3.142",
        "3.142 ± 0.012",
        "3.14 ± 0.50",
        "3 ± 12",
    ]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: image_grid(np.zeros((2, 8, 8), np.uint8)),
        lambda: image_grid(np.zeros((2, 8, 8, 1), np.float32)),
        lambda: image_grid(np.zeros((2, 8, 8, 2), np.uint8)),
        lambda: image_grid(np.zeros((0, 8, 8, 1), np.uint8)),
        lambda: image_grid(np.zeros((2, 8, 8, 1), np.uint8), columns=0),
        lambda: image_grid(np.zeros((2, 8, 8, 1), np.uint8), scale=0),
        lambda: training_curve({}),
        lambda: training_curve({"a": STEPS}),
        lambda: training_curve({"a": (STEPS, LOSS[1:])}),
        lambda: training_curve({"a": (STEPS[::-1], LOSS)}),
        lambda: training_curve({"a": (STEPS * np.nan, LOSS)}),
        lambda: training_curve({"a": (STEPS, LOSS * np.nan)}),
        lambda: training_curve({"two\nlines": (STEPS, ["x"] * 100)}),
        lambda: training_curve({"a": ([], [])}),
        lambda: losses_by_noise_level(STEPS, LEVELS[0][1:], LEVELS[1]),
        lambda: losses_by_noise_level(STEPS[1:], *LEVELS),
        lambda: losses_by_noise_level(STEPS[::-1], *LEVELS),
        lambda: losses_by_noise_level(STEPS, LEVELS[0][::-1], LEVELS[1]),
        lambda: losses_by_noise_level(STEPS, LEVELS[0], LEVELS[1] * np.nan),
        lambda: losses_by_noise_level(STEPS, LEVELS[0], LEVELS[1].astype(str)),
        lambda: loss_by_noise_level(STEPS, LOSS[:, None]),
        lambda: loss_by_noise_level(STEPS, LOSS * np.nan),
        lambda: loss_by_noise_level(STEPS, LOSS[1:]),
        lambda: loss_by_noise_level([1, [2, 3]], LOSS),
        lambda: likelihood_histogram([1.0, np.nan]),
        lambda: likelihood_histogram(LOSS, np.inf),
        lambda: likelihood_histogram(LOSS, [1, [2, 3]]),
        lambda: likelihood_histogram(LOSS, standard_error=-1.0),
        lambda: likelihood_histogram(LOSS, standard_error=np.nan),
        lambda: likelihood_histogram(LOSS, bound=(np.nan, None)),
        lambda: scatter(LOSS),
        lambda: scatter(np.zeros((3, 2)), np.zeros((3, 3))),
        lambda: marginals(LOSS, [np.nan], "x"),
    ],
)
def test_malformed_input_is_told_in_one_line(draw):
    with pytest.raises(InputError) as caught:
        draw()
    assert str(caught.value).count("\n") == 0
