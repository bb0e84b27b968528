"""Names of nested arrays, and what is said of weights that are not the network's."""

import numpy as np
import pytest

from sde_jax.checkpoints import flatten, require_match, unflatten
from sde_jax.errors import InputError


def test_names_and_nested_dicts_say_the_same():
    tree = {"b": {"c": 1, "a": {"x": 2}}, "a": 3, "b.c": 4}
    leaves = {"a": 3, "b.c": 4, "b/a/x": 2, "b/c": 1}
    assert flatten(tree) == leaves
    assert unflatten(leaves) == tree
    assert unflatten(flatten({})) == {}


def test_elements_of_lists_are_named_by_their_index():
    assert flatten({"a": [np.float64(1), (2, {"b": 3})]}) == {"a/0": 1, "a/1/0": 2, "a/1/1/b": 3}


def test_what_names_cannot_say_is_refused():
    with pytest.raises(InputError, match="two arrays are named 'a/b'"):
        flatten({"a": {"b": 1}, "a/b": 2})
    for leaves in ({"a": 1, "a/b": 2}, {"a": 1, "a.": 3, "a/b/c": 2}):
        with pytest.raises(InputError, match="'a' is an array and holds 'a/b"):
            unflatten(leaves)


def test_equal_shapes_match_in_any_order():
    require_match({"a": (1, 2), "b": ()}, {"b": [], "a": [1, 2]}, "x.pth")


def test_differences_are_named_by_kind():
    found = {"a": (64, 32), "b": (3,), "x": (1,), "y": ()}
    expected = {"a": (128, 64), "b": (3,), "c": (1,), "d": (2,), "e": (3,), "f": (4,), "g": (5,), "h": (6,)}
    with pytest.raises(InputError) as raised:
        require_match(found, expected, "x.pth")
    assert str(raised.value) == (
        "x.pth: not the weights of this network: 6 missing (c; d; e; f; and 2 more), 2 unexpected (x; y), "
        "1 of another shape (a [64, 32] there, [128, 64] expected)"
    )
    with pytest.raises(InputError, match=r"^x: not the weights of this network: 1 missing \(a\)$"):
        require_match({}, {"a": ()}, "x")
