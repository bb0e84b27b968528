"""Crops and resizing are those of the official data, to the rounding that is stated."""

import numpy as np
import pytest

from sde_jax.data.image_resizing import Filter, cropped, resized, squared

RANDOM = np.random.default_rng(0)


def keys(u: np.ndarray) -> np.ndarray:
    """Keys (1981), eq. 15, with a = -1/2: the cubic convolution kernel."""
    u = np.abs(u)
    return np.where(u < 1, 1.5 * u**3 - 2.5 * u**2 + 1, np.where(u < 2, -0.5 * u**3 + 2.5 * u**2 - 4 * u + 2, 0))


def triangle(u: np.ndarray) -> np.ndarray:
    return np.maximum(1 - np.abs(u), 0)


def matrix(size: int, into: int, kernel) -> np.ndarray:
    """The weights [into, size] of antialiased resizing along an axis, row by row from its definition."""
    ratio = size / into
    rows = []
    for i in range(into):
        weights = kernel((np.arange(size) + 0.5 - (i + 0.5) * ratio) / max(ratio, 1))
        rows.append(weights / weights.sum())
    return np.array(rows)


def test_halving_an_edge_gives_the_numbers_worked_out_by_hand():
    row = np.array([0, 0, 0, 0, 200, 200, 200, 200], np.uint8)
    image = np.stack([np.stack([row] * 8)] * 3, -1)
    # The triangle of width 4 weighs four pixels 1, 3, 3, 1 (of 8): at the edge 200/8 on its left and 200 - 200/8 on its
    # right; at the border 3, 3, 1 (of 7), all of one value.
    expected = np.array([0, 25, 175, 200], np.uint8)
    halved = resized(image, 4, 4, Filter.BILINEAR)
    np.testing.assert_array_equal(halved, np.broadcast_to(expected[:, np.newaxis], (4, 4, 3)))


@pytest.mark.parametrize(("kernel", "weight"), [(Filter.BICUBIC, keys), (Filter.BILINEAR, triangle)])
@pytest.mark.parametrize(
    ("shape", "into"), [((9, 14), (4, 5)), ((140, 140), (64, 64)), ((5, 4), (8, 9)), ((7, 7), (7, 3))]
)
def test_resizing_is_the_definition_rounded_once(kernel, weight, shape, into):
    image = RANDOM.integers(0, 256, (*shape, 3)).astype(np.uint8)
    rows, columns = (matrix(size, new, weight) for size, new in zip(shape, into, strict=True))
    exact = np.moveaxis(rows @ np.moveaxis(image.astype(float), -1, 0) @ columns.T, 0, -1).clip(0, 255)
    # Half a level, and what float32 and Pillow's weights leave.
    assert np.abs(resized(image, *into, kernel) - exact).max() < 0.5 + 1e-3


def test_an_image_of_the_right_size_is_kept():
    image = RANDOM.integers(0, 256, (6, 6, 1)).astype(np.uint8)
    np.testing.assert_array_equal(squared(image, 6), image)


def test_the_middle_of_celeba_is_the_official_one():
    # score_sde takes 140 rows from (218 - 140) // 2 = 39 on, and 140 columns from (178 - 140) // 2 = 19 on.
    image = np.stack(np.meshgrid(np.arange(218), np.arange(178), indexing="ij"), -1).astype(np.uint8)
    middle = cropped(image, 140, 140)
    assert middle.shape == (140, 140, 2)
    assert (middle[0, 0].tolist(), middle[-1, -1].tolist()) == ([39, 19], [178, 158])


def test_the_square_of_an_image_is_its_middle():
    image = np.zeros((4, 9, 3), np.uint8)
    image[:, 2:6] = 255
    np.testing.assert_array_equal(squared(image, 2), np.full((2, 2, 3), 255))
