"""Toys are the distributions that they are said to be."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.data import Checkerboard, GaussianRing, Moons, Rings, Spirals, SwissRoll
from sde_jax.errors import InputError

TOYS = [Checkerboard, GaussianRing, Moons, Rings, Spirals, SwissRoll]
DENSITIES = [
    (GaussianRing(components=5, radius=2.0, deviation=0.4), 5.0),
    (Rings(circles=2, deviation=0.3), 5.0),
    (Checkerboard(fields=4), 2.0),
    (Checkerboard(fields=3), 1.5),
]


def points(source) -> np.ndarray:
    return np.stack([source[index]["data"] for index in range(len(source))]).astype(np.float64)


def labels(source) -> np.ndarray:
    return np.array([source[index]["label"] for index in range(len(source))])


@pytest.mark.parametrize(("toy", "reach"), DENSITIES)
def test_points_fall_into_cells_as_often_as_the_density_says_and_it_integrates_to_one(toy, reach):
    cells, fine, count = 10, 24, 20_000
    middle = (np.arange(cells * fine) + 0.5) / (cells * fine) * 2 * reach - reach
    grid = jnp.stack(jnp.meshgrid(middle, middle, indexing="ij"), -1)
    with jax.enable_x64(True):
        density = np.exp(jax.vmap(jax.vmap(toy.log_density))(grid.astype(float)))
    mass = density.reshape(cells, fine, cells, fine).sum((1, 3)) * (2 * reach / (cells * fine)) ** 2
    np.testing.assert_allclose(mass.sum(), 1, atol=1e-4)
    drawn, parts = toy.draw(np.random.RandomState(0), count)
    found = np.histogram2d(*drawn.T, bins=cells, range=[[-reach, reach]] * 2)[0]
    big = mass * count > 5
    assert found[~big].sum() <= (mass[~big].sum() * count + 5) * 2
    chi_square = ((found - mass * count)[big] ** 2 / (mass * count)[big]).sum()
    assert abs(chi_square - big.sum()) < 4 * np.sqrt(2 * big.sum())
    if parts.max() > 0:
        shares = np.bincount(parts) / count
        np.testing.assert_allclose(shares, 1 / len(shares), atol=4 / np.sqrt(count))


@pytest.mark.parametrize("toy", [*(toy for toy, _ in DENSITIES), Moons(), Spirals(), SwissRoll()])
def test_the_points_of_each_split_depend_on_the_seed_alone(toy):
    first = dataclasses.replace(toy, num_train=50, num_held_out=20).open()
    other = dataclasses.replace(toy, num_train=50, num_held_out=3).open()
    np.testing.assert_array_equal(points(first.train), points(other.train))
    assert (len(first.train), len(first.held_out), len(other.held_out)) == (50, 20, 3)
    assert (first.shape, first.levels) == ((2,), None)
    assert not set(map(bytes, points(first.train))) & set(map(bytes, points(first.held_out)))
    reseeded = dataclasses.replace(toy, num_train=50, seed=1).open()
    assert not set(map(bytes, points(first.train))) & set(map(bytes, points(reseeded.train)))
    x0 = (points(first.train) - first.scaling.shift) / first.scaling.scale
    np.testing.assert_allclose([x0.mean(0), x0.std(0)], [[0, 0], [1, 1]], atol=1e-6)


def test_the_moons_without_blur_are_half_circles_that_interlock():
    train = Moons(deviation=0.0, num_train=400).open().train
    x, which = points(train), labels(train)
    centre = np.where(np.stack([which, which], -1) == 0, [0.0, 0.0], [1.0, 0.5])
    np.testing.assert_allclose(np.hypot(*(x - centre).T), 1, atol=1e-6)
    assert (x[which == 0, 1] >= 0).all()
    assert (x[which == 1, 1] <= 0.5).all()
    # The y of a half circle, sin a with a uniform, has the mean 2 / pi; x has the mean of its centre.
    np.testing.assert_allclose(x[which == 0].mean(0), [0, 2 / np.pi], atol=4 * 0.71 / np.sqrt(200))
    np.testing.assert_allclose(x[which == 1].mean(0), [1, 0.5 - 2 / np.pi], atol=4 * 0.71 / np.sqrt(200))


def test_the_spirals_without_blur_turn_once_while_the_radius_grows_by_one():
    train = Spirals(arms=3, turns=2.0, deviation=0.0, num_train=400).open().train
    x, arm = points(train), labels(train)
    radius = np.hypot(*x.T)
    assert set(arm) == {0, 1, 2}
    assert 1.9 < radius.max() < 2.0
    angle = 2 * np.pi * (radius + arm / 3)
    np.testing.assert_allclose(x, np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1), atol=1e-5)
    # a^2 uniform: half of the points within 1 / sqrt(2) of the largest radius.
    assert abs((radius < np.sqrt(2)).mean() - 0.5) < 4 * 0.5 / 20


def test_the_swiss_roll_without_blur_is_the_curve_of_scikit_learn():
    x = points(SwissRoll(deviation=0.0, num_train=400).open().train)
    radius = np.hypot(*x.T)
    np.testing.assert_allclose(x, np.stack([radius * np.cos(radius), radius * np.sin(radius)], -1), atol=1e-4)
    assert 1.5 * np.pi <= radius.min() < 1.6 * np.pi
    assert 4.4 * np.pi < radius.max() <= 4.5 * np.pi
    assert abs(radius.mean() - 3 * np.pi) < 4 * np.pi * np.sqrt(3 / 4 / 400)


@pytest.mark.parametrize("toy", [Moons, Spirals, SwissRoll])
def test_the_blur_adds_its_variance_to_both_coordinates(toy):
    sharp, _ = toy(deviation=0.0).draw(np.random.RandomState(3), 4000)
    blurred, _ = toy(deviation=2.0).draw(np.random.RandomState(3), 4000)
    np.testing.assert_allclose((blurred - sharp).std(0), 2.0, rtol=4 / np.sqrt(8000))
    np.testing.assert_allclose((blurred - sharp).mean(0), 0.0, atol=4 * 2 / np.sqrt(4000))


@pytest.mark.parametrize("toy", TOYS)
def test_toys_are_values_that_json_can_carry(toy):
    assert toy(**json.loads(json.dumps(dataclasses.asdict(toy(seed=5))))) == toy(seed=5)


@pytest.mark.parametrize(
    ("toy", "fields"),
    [
        (Moons, {"num_train": 1}),
        (Moons, {"num_held_out": -1}),
        (Moons, {"seed": -1}),
        (Moons, {"deviation": -0.1}),
        (GaussianRing, {"deviation": 0.0}),
        (GaussianRing, {"radius": 0.0}),
        (GaussianRing, {"components": 0}),
        (Rings, {"circles": 0}),
        (Rings, {"deviation": float("nan")}),
        (Checkerboard, {"fields": 1}),
        (Spirals, {"arms": 0}),
        (Spirals, {"turns": 0.0}),
        (SwissRoll, {"deviation": -1.0}),
    ],
)
def test_toys_out_of_range_are_refused(toy, fields):
    with pytest.raises(InputError, match="expected"):
        toy(**fields)
