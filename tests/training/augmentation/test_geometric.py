from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from sde_jax.errors import InputError
from sde_jax.training.augmentation import Drawn, Geometric, NoAugmentation

SHAPE = (9, 9, 2)
X: Any = np.random.default_rng(0).normal(size=SHAPE)
ALL = Geometric(probability=1.0, turns=True, shift=0.25)
NUMBERS: Any = (*[np.int32(0)] * 3, np.zeros(2), *[np.zeros(())] * 4, np.zeros(2))
ZERO = Drawn(*NUMBERS)
DOWN, RIGHT = np.meshgrid(np.arange(9) - 4.0, np.arange(9) - 4.0, indexing="ij")
RAMP = np.stack([2 * DOWN - RIGHT + 3, DOWN + 0.5 * RIGHT], axis=-1)
"""Linear in the places of the pixels."""


@pytest.fixture(scope="module")
def mapped():
    """Images under maps of `ALL`, each map given by what is not zero."""
    run = jax.jit(jax.vmap(ALL.mapped, in_axes=(0, None)))

    def compute(x, *maps):
        drawn = [ZERO._replace(**given) for given in maps]
        return np.asarray(run(jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(a) for a in leaves]), *drawn), x))

    return compute


def test_no_map_is_no_change_bit_for_bit(mapped):
    np.testing.assert_array_equal(mapped(X, {})[0], X)
    single = ALL.mapped(ZERO, X.astype(np.float32))
    np.testing.assert_array_equal(single, X.astype(np.float32))
    assert single.dtype == np.float32


def test_mirrors_quarter_turns_and_whole_shifts_move_pixels_and_change_none(mapped):
    maps = [{"left_right": 1}, {"up_down": 1}, *({"turns": n} for n in (1, 2, 3))]
    expected = [X[:, ::-1], X[::-1], *(np.rot90(X, n) for n in (1, 2, 3))]
    np.testing.assert_array_equal(mapped(X, *maps), expected)
    (shifted,) = mapped(X, {"shift": np.array([2.0, -1.0])})
    np.testing.assert_array_equal(shifted[2:, :-1], X[:-2, 1:])
    np.testing.assert_array_equal(shifted[:2, :-1], X[2:0:-1, 1:])  # mirrored at the middle of the edge's pixels
    np.testing.assert_array_equal(shifted[2:, -1], X[:-2, -2])


def test_maps_without_loss_obey_the_laws_of_their_group(mapped):
    twice = lambda **given: mapped(mapped(X, given)[0], given)[0]  # noqa: E731
    np.testing.assert_array_equal(twice(left_right=1), X)
    np.testing.assert_array_equal(twice(up_down=1), X)
    np.testing.assert_array_equal(twice(turns=2), X)
    np.testing.assert_array_equal(twice(turns=1), mapped(X, {"turns": 2})[0])
    np.testing.assert_array_equal(mapped(mapped(X, {"turns": 3})[0], {"turns": 1})[0], X)
    there = mapped(mapped(X, {"shift": np.array([1.0, 2.0])})[0], {"shift": np.array([1.0, -3.0])})[0]
    np.testing.assert_array_equal(there[2:, 2:-3], mapped(X, {"shift": np.array([2.0, -1.0])})[0][2:, 2:-3])


def test_a_linear_ramp_stays_one_whose_slopes_the_map_changes_exactly(mapped):
    move, scale, angle, along, phi = np.array([0.125, -0.25]), 0.7, 0.4, -0.9, 1.1
    rotation = lambda a: np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])  # of (down, right)  # noqa: E731
    stretch = rotation(phi) @ np.diag([2 ** (-0.2 * along), 2 ** (0.2 * along)]) @ rotation(-phi)
    one = {"scaling": scale, "rotation": angle, "anisotropy": along, "direction": phi, "translation": move}
    cases = {
        "scaling": 2 ** (0.2 * scale) * np.eye(2),
        "rotation": rotation(angle),
        "anisotropy": stretch,
        "translation": np.eye(2),
        "all": stretch @ rotation(angle) * 2 ** (0.2 * scale),
    }
    maps = [{**({name: one[name]} if name != "all" else one), "direction": phi} for name in cases]
    inside = np.s_[3:6, 3:6]  # whose places stay within the image
    for name, result, matrix in zip(cases, mapped(RAMP, *maps), cases.values(), strict=True):
        offset = 9 * 0.125 * move if name in ("translation", "all") else np.zeros(2)
        sources = np.linalg.solve(matrix, np.stack([DOWN - offset[0], RIGHT - offset[1]]).reshape(2, -1))
        down, right = sources.reshape(2, 9, 9)
        expected = np.stack([2 * down - right + 3, down + 0.5 * right], axis=-1)
        np.testing.assert_allclose(result[inside], expected[inside], atol=1e-12, err_msg=name)


def test_a_turn_is_counterclockwise_and_a_shift_goes_down_and_right(mapped):
    turned, stretched, moved = mapped(
        X,
        {"rotation": np.pi / 2},
        {"anisotropy": 5.0, "direction": 0.0},
        {"translation": np.array([16 / 9, -8 / 9])},
    )
    np.testing.assert_allclose(turned, np.rot90(X), atol=1e-12)
    np.testing.assert_allclose(stretched[4, ::2], X[4, 2:7], atol=1e-12)  # twice as wide, half as high
    np.testing.assert_allclose(stretched[3:6, 4], X[2:7:2, 4], atol=1e-12)
    np.testing.assert_allclose(moved[2:, :-1], X[:-2, 1:], atol=1e-12)


def test_scaling_enlarges_and_comes_before_the_turn_and_the_shift(mapped):
    (scaled,) = mapped(X, {"scaling": 5.0})
    np.testing.assert_allclose(scaled[::2, ::2], X[2:7, 2:7], atol=1e-12)
    (first,) = mapped(X, {"left_right": 1, "turns": 1})
    np.testing.assert_array_equal(first, np.rot90(X[:, ::-1]))
    (both,) = mapped(X, {"scaling": 5.0, "translation": np.array([8 / 9, 0.0])})
    np.testing.assert_allclose(both[1:], scaled[:-1], atol=1e-12)


def test_what_is_told_says_what_was_done_and_zeros_say_nothing_was():
    numbers: Any = (1, 0, jnp.int32(3), jnp.array([1.0, -2.0]), 0.3, 2.0, -1.5, 0.5, jnp.ones(2))
    drawn = Drawn(*numbers)
    told = ALL.told(drawn, (8, 16, 1))
    aniso = [-1.5 * np.cos(0.5), -1.5 * np.sin(0.5)]
    expected = [1, 0, -1, -1, 1 / 2, -2 / 4, 0.3, np.cos(2) - 1, np.sin(2), *aniso, 1, 1]
    np.testing.assert_allclose(told, expected, atol=1e-12)
    np.testing.assert_array_equal(ALL.told(ZERO, SHAPE), np.zeros(13))
    some = Geometric(left_right=False, scaling=0.0, anisotropy=0.0)
    np.testing.assert_allclose(some.told(drawn, (8, 16, 1)), [0, np.cos(2) - 1, np.sin(2), 1, 1], atol=1e-12)
    assert (Geometric().size, ALL.size, some.size) == (9, 13, 5)


@pytest.fixture(scope="module")
def told():
    """What 4,000 images are told, by the published augmentation with probability 0.3."""
    some = Geometric(probability=0.3)
    keys = jax.random.split(jax.random.key(1), 4000)
    return np.asarray(jax.jit(jax.vmap(lambda key: some.told(some.draw(key, SHAPE), SHAPE)))(keys))


def test_each_map_is_drawn_as_often_as_it_should_and_by_itself(told):
    done = np.stack([*told.T[:3], told[:, 4], np.hypot(*told.T[5:7]), told[:, 7]]) != 0
    chances = np.array([0.5, 0.15, 0.3, 0.3, 0.3, 0.3])
    np.testing.assert_allclose(done.mean(1), chances, atol=4 * 0.5 / np.sqrt(4000))
    together = np.cov(done)
    np.testing.assert_allclose(together, np.diag(chances * (1 - chances)), atol=0.02)
    np.testing.assert_array_equal(told[:, 7] != 0, told[:, 8] != 0)


def test_what_is_drawn_has_the_distribution_that_is_stated(told):
    angle = np.arctan2(told[:, 4], told[:, 3] + 1)
    strength, direction = np.hypot(*told.T[5:7]), np.arctan2(told[:, 6], told[:, 5])
    cases = [
        (told[:, 2], stats.norm.cdf),
        (told[:, 7], stats.norm.cdf),
        (told[:, 8], stats.norm.cdf),
        (angle, stats.uniform(-np.pi, 2 * np.pi).cdf),
        (direction[strength > 0], stats.uniform(-np.pi, 2 * np.pi).cdf),
        (strength, stats.halfnorm.cdf),
    ]
    for values, cdf in cases:
        assert stats.kstest(values[values != 0], cdf).pvalue > 1e-3


def test_shifts_and_angles_stay_within_what_is_asked():
    some = Geometric(1.0, rotation=0.25, shift=0.5)
    drawn = jax.jit(jax.vmap(partial(some.draw, shape=(8, 4, 1))))(jax.random.split(jax.random.key(2), 500))
    for column, most in zip(np.asarray(drawn.shift).T, (4, 2), strict=True):
        np.testing.assert_array_equal(np.unique(column), np.arange(-most, most + 1))
    assert np.pi / 5 < np.abs(drawn.rotation).max() <= np.pi / 4


def test_an_image_is_changed_as_it_is_told_and_by_its_key_alone():
    some = Geometric(probability=0.5)
    keys = jax.random.split(jax.random.key(3), 6)

    def both(key):
        drawn = some.draw(key, SHAPE)
        return some.augmented(key, X), (some.mapped(drawn, X), some.told(drawn, SHAPE))

    (images, told), (mapped, said) = jax.jit(jax.vmap(both))(keys)
    np.testing.assert_array_equal(images, mapped)
    np.testing.assert_array_equal(told, said)
    assert len(np.unique(told, axis=0)) > 3
    assert len(np.unique(images, axis=0)) > 3
    x, nothing = NoAugmentation().augmented(keys[0], X)
    assert x is X
    assert nothing.shape == (NoAugmentation().size,) == (0,)


@pytest.mark.parametrize(
    "wrong",
    [{"probability": 1.1}, {"shift": -0.1}, {"rotation": 2.0}, {"scaling": -1.0}, {"translation": np.inf}],
    ids=str,
)
def test_what_is_out_of_range_is_refused(wrong):
    with pytest.raises(InputError, match=r"in \[0, 1\]"):
        replace(Geometric(), **wrong)
    with pytest.raises(InputError, match="something to do"):
        Geometric(0.1, False, False, False, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_what_is_no_image_is_refused():
    for shape in ((4,), (4, 4), (2, 4, 4, 1)):
        with pytest.raises(InputError, match="expected images"):
            Geometric().require(shape)
        NoAugmentation().require(shape)
    with pytest.raises(InputError, match="quarter turns"):
        ALL.require((4, 6, 1))
    Geometric().require((4, 6, 1))
