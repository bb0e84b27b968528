"""Pictures of data that are no images show all of their points and columns."""

import matplotlib
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.report import examples
from sde_jax.report.examples import histogram_picture, scatter_picture

RNG = np.random.default_rng(0)


def ink(picture) -> np.ndarray:
    """Where a picture is not white."""
    return (np.asarray(picture) < 250).any(-1)


def test_points_of_other_labels_have_other_colours():
    points = RNG.normal(size=(200, 2))
    before = dict(matplotlib.rcParams)
    one, two = (scatter_picture(points, np.arange(200) % count, ["a", "$b"]) for count in (1, 2))
    assert matplotlib.rcParams == before
    colours = [len(np.unique(np.asarray(picture)[ink(picture)], axis=0)) for picture in (one, two)]
    assert colours[1] > colours[0]


def test_points_stand_where_they_are():
    picture = ink(scatter_picture(np.array([[0.0, 0.0], [1.0, 1.0]]), [-1, -1]))
    inside = picture[15:-40, 45:-15]  # without the frame and its numbers
    rows, columns = np.nonzero(inside)
    # up is up: the right of the two points is the upper one
    assert np.corrcoef(rows, columns)[0, 1] < -0.5


@pytest.mark.parametrize(("columns", "panels"), [(1, 1), (3, 4), (40, 4)])
def test_every_column_has_a_panel_up_to_the_most(columns, panels, monkeypatch):
    monkeypatch.setattr(examples, "_MOST_COLUMNS", 4)
    picture = histogram_picture(RNG.normal(size=(50, columns)), ["first"])
    assert picture.width == picture.height == 260 * round(panels**0.5)


def test_arrays_of_other_shapes_are_refused():
    with pytest.raises(InputError, match=r"expected \[n, 2\]"):
        scatter_picture(np.zeros((3, 3)), np.zeros(3))
    with pytest.raises(InputError, match=r"expected \[n, k\]"):
        histogram_picture(np.zeros((0, 3)))
