import base64
import io
import re
import xml.etree.ElementTree as ElementTree

import numpy as np
from PIL import Image

from sde_jax.report import Report, image_grid, marginals, render, scatter
from sde_jax.report.neighbours import neighbour_figures

RNG = np.random.default_rng(0)


def drawn(svg):
    """The lengths of the strokes of each path that is drawn within the axes."""
    paths = [
        path.get("d")
        for path in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
        if "clip-path" in path.attrib and path.get("d").count("M") > 20
    ]
    return [re.findall(r"M ([\d.]+) ([\d.]+)\s+L ([\d.]+) ([\d.]+)", d) for d in paths]


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_every_sample_is_a_dot_and_every_held_out_example_a_cross():
    samples, held_out = RNG.normal(size=(70, 2)), RNG.normal(size=(50, 2))
    crosses, dots = drawn(scatter(samples, held_out, ("width", "height")))
    assert len(dots) == 70
    assert len(crosses) == 2 * 50
    assert all(dot[:2] == dot[2:] for dot in dots)
    at = np.array(dots, float)[:, :2]
    unit = (np.ptp(at[:, 0]) / np.ptp(samples[:, 0]), np.ptp(at[:, 1]) / np.ptp(samples[:, 1]))
    np.testing.assert_allclose(*unit, rtol=1e-3, err_msg="both axes have one scale")
    np.testing.assert_allclose(at[:, 0] - at[0, 0], unit[0] * (samples[:, 0] - samples[0, 0]), atol=0.01)
    np.testing.assert_allclose(at[:, 1] - at[0, 1], -unit[1] * (samples[:, 1] - samples[0, 1]), atol=0.01)


def test_thinned_points_are_counted():
    shown = texts(scatter(RNG.normal(size=(5000, 2)), None, ("$x", "_y")))
    assert "samples, 2,000 of 5,000" in shown
    assert "$x" in shown


def test_points_that_coincide_are_drawn():
    assert "samples" in texts(scatter(np.ones((30, 2))))
    assert "a" in texts(marginals(np.ones(30), np.ones(3), "a"))


def test_bars_of_a_column_sum_to_all_examples():
    svg = marginals(RNG.normal(size=1000), RNG.normal(size=500), "mass")
    assert {"mass", "samples", "held-out examples", "examples, %"} <= set(texts(svg))


def alts(page):
    return re.findall(r'alt="([^"]*)"', page)


def test_a_table_shows_its_first_columns_by_name():
    names = [f"c{i}" for i in range(10)]
    page = render(Report(title="t", points={"ode": (RNG.normal(size=(30, 10)), None)}, columns=names))
    assert [alt.split(" over ")[0] for alt in alts(page)] == [f"ode: distribution of c{i}" for i in range(8)]
    assert "the first 8 of 10 columns" in page


def test_pairs_are_shown_nearest_first_with_their_distances():
    samples = RNG.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    nearest = RNG.integers(0, 256, (3, 2, 4, 4, 3), dtype=np.uint8)
    figures = neighbour_figures((samples, nearest, np.array([[3.0, 4.0], [0.0, 2.5], [1.25, 9.0]])))
    assert [figure["caption"] for figure in figures] == ["distance 0, 2.5", "distance 1.25, 9", "distance 3, 4"]
    picture = Image.open(io.BytesIO(base64.b64decode(figures[0]["source"].split(",")[1])))
    expected = image_grid(np.stack([samples[1], *nearest[1]]), columns=3, scale=48)
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))
    assert figures[0]["width"] == picture.width / 2


def test_of_many_samples_the_nearest_are_shown():
    distances = np.arange(100.0)[::-1, None]
    figures = neighbour_figures((np.zeros((100, 2, 2, 1), np.uint8), np.zeros((100, 1, 2, 2, 1), np.uint8), distances))
    assert [figure["caption"] for figure in figures] == [f"distance {i}" for i in range(24)]
