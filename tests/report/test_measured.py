import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.report import Measured, metric_against_evaluations, metric_against_steps, quality_pictures
from sde_jax.report.measured import _ticks

NAN = float("nan")
STEPS = Measured([1000, 2000, 4000], [3.0, 2.0, 1.5], [2.5, 1.75, 1.25], [3.5, 2.25, 1.75])


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def error_bars(svg):
    """(x, lower end, upper end) of every vertical line that is no axis, in the picture's coordinates."""
    bars = re.findall(r'd="M ([\d.]+) ([\d.]+) \nL ([\d.]+) ([\d.]+) \n" clip-path[^>]*stroke-width: 1.5', svg)
    return np.array([(float(a), float(b), float(d)) for a, b, c, d in bars if a == c])


def test_every_value_has_an_error_bar_from_low_to_high():
    bars = error_bars(metric_against_steps({"a": STEPS}, "fid"))
    lengths = np.subtract(STEPS.high, STEPS.low)
    assert bars.shape == (3, 3)
    np.testing.assert_allclose((bars[:, 1] - bars[:, 2]) / lengths, (bars[0, 1] - bars[0, 2]) / lengths[0], rtol=1e-4)
    apart = np.diff(bars[:, 0])
    np.testing.assert_allclose(apart[1] / apart[0], 2.0, rtol=1e-4)


def test_evaluations_are_logarithmic_and_labelled_with_their_own_numbers():
    svg = metric_against_evaluations({"a": Measured([10, 20, 40], *STEPS[1:])}, "fid")
    apart = np.diff(error_bars(svg)[:, 0])
    np.testing.assert_allclose(apart[1], apart[0], rtol=1e-4)
    assert {"10", "20", "40", "calls of the network a sample", "fid"} <= set(texts(svg))


def test_labels_of_evaluations_are_apart():
    assert _ticks(np.array([10.0, 10.5, 11.0, 100.0, 1000.0, 1000.0]), 10) == [10.0, 100.0, 1000.0]
    assert _ticks(np.array([7.0]), 10) == [7.0]


def test_names_of_many_series_take_nothing_from_the_axes():
    def height(count, width):
        svg = metric_against_steps({f"s{i}": STEPS for i in range(count)}, "fid", width=width)
        return float(ElementTree.fromstring(svg).get("viewBox").split()[-1])

    assert height(2, 380) == 240 + 380 / 8
    assert height(7, 380) - height(2, 380) == 5 * 18
    assert height(7, 880) - height(2, 880) == 2 * 18


def test_a_value_that_was_not_finite_is_a_gap_and_counted():
    svg = metric_against_steps({"a": Measured([1, 2, 3], [1.0, NAN, 2.0], [1.0, NAN, 2.0], [1.0, NAN, 2.0])}, "fid")
    assert "a (1 not finite)" in texts(svg)
    assert "a" not in texts(metric_against_steps({"a": STEPS}, "fid")), "one line needs no legend"


def test_series_of_single_points_differ_by_their_marks():
    one = Measured([10], [1.0], [1.0], [1.0])
    svg = metric_against_evaluations({"a": one, "b": one, "c": one}, "fid")
    root = ElementTree.fromstring(svg)
    marks = {path.get("id"): path.get("d") for path in root.iter("{http://www.w3.org/2000/svg}path") if path.get("id")}
    used = [use.get("{http://www.w3.org/1999/xlink}href", "#")[1:] for use in root.iter() if use.tag.endswith("use")]
    drawn = {marks[name] for name in used if "C" in marks[name] or marks[name].count("L") > 1}
    assert len(drawn) == 3


def test_quality_is_of_the_newest_checkpoint_a_line_a_sampler(evaluation_rows):
    (svg,) = quality_pictures(evaluation_rows).values()
    assert {"ode", "pc"} <= set(texts(svg))
    assert len(error_bars(svg)) == 5


def test_a_metric_of_one_price_has_no_curve_of_quality(evaluation_rows):
    rows = [row for row in evaluation_rows if row.get("steps") in (None, 8)]
    assert quality_pictures(rows) == {}
    assert quality_pictures([]) == {}


@pytest.mark.parametrize(
    "draw",
    [
        lambda: metric_against_steps({}, "fid"),
        lambda: metric_against_steps({"a": STEPS._replace(value=[1.0])}, "fid"),
        lambda: metric_against_steps({"a": STEPS._replace(low=STEPS.high, high=STEPS.low)}, "fid"),
        lambda: metric_against_steps({"a": STEPS._replace(at=[1, 2, NAN])}, "fid"),
        lambda: metric_against_steps({"a": Measured([1], [NAN], [NAN], [NAN])}, "fid"),
        lambda: metric_against_evaluations({"a": STEPS._replace(at=[0, 1, 2])}, "fid"),
        lambda: quality_pictures([{"metric": "fid"}]),
    ],
)
def test_malformed_measurements_are_told_in_one_line(draw):
    with pytest.raises(InputError) as caught:
        draw()
    assert "\n" not in str(caught.value)
