from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.training.augmentation import Element, Symmetry

X: Any = np.arange(5 * 5 * 2.0).reshape(5, 5, 2)
ALL = Symmetry(left_right=True, up_down=True, turns=True, shift=2)
NONE = Element(jnp.int32(0), jnp.int32(0), jnp.int32(0), jnp.zeros(2, int))


def acted(x, **given):
    return np.asarray(ALL.act(NONE._replace(**{name: jnp.asarray(value) for name, value in given.items()}), x))


def test_maps_are_those_of_numpy_and_obey_the_laws_of_their_group():
    np.testing.assert_array_equal(acted(X), X)
    np.testing.assert_array_equal(acted(X, left_right=1), np.fliplr(X))
    np.testing.assert_array_equal(acted(X, up_down=1), np.flipud(X))
    for n in (1, 2, 3):
        np.testing.assert_array_equal(acted(X, turns=n), np.rot90(X, n))
        np.testing.assert_array_equal(acted(acted(X, turns=n), turns=4 - n), X)
    np.testing.assert_array_equal(acted(X, shift=[1, -2]), np.roll(X, (1, -2), (0, 1)))
    np.testing.assert_array_equal(acted(acted(X, shift=[1, 2]), shift=[3, -4]), acted(X, shift=[4, -2]))
    expected = np.roll(np.rot90(np.fliplr(X)), (1, 0), (0, 1))
    np.testing.assert_array_equal(acted(X, left_right=1, turns=1, shift=[1, 0]), expected)


def test_every_map_is_drawn_as_often_as_every_other():
    sizes = {
        Symmetry(left_right=True, up_down=True): 4,
        Symmetry(left_right=True, turns=True): 8,
        Symmetry(turns=True): 4,
        Symmetry(shift=1): 9,
        Symmetry(): 1,
    }
    keys = jax.random.split(jax.random.key(0), 2000)
    images = jax.jit(jax.vmap(lambda key: [s.act(s.draw(key), X) for s in sizes]))(keys)
    for drawn, size in zip(images, sizes.values(), strict=True):
        _, counts = np.unique(drawn.reshape(2000, -1), axis=0, return_counts=True)
        assert len(counts) == size
        np.testing.assert_allclose(counts / 2000, 1 / size, atol=4 * np.sqrt(1 / size / 2000))


def test_images_that_are_not_square_have_no_quarter_turns_and_no_symmetry_asks_nothing():
    for shape, what in (((4, 6, 1), "quarter turns"), ((6,), "images")):
        with pytest.raises(InputError, match=what):
            ALL.require(shape)
    Symmetry().require((6,))
    Symmetry(shift=1).require((4, 6, 1))
    assert [bool(s) for s in (Symmetry(), Symmetry(shift=1), Symmetry(turns=True))] == [False, True, True]
    for wrong in (-1, 1.5):
        with pytest.raises(InputError, match="whole pixels"):
            Symmetry(shift=wrong)  # type: ignore[arg-type]
