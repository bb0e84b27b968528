"""Names are sorted as people sort them, and a class is meant by its name or else by its index."""

import random

import pytest

from sde_jax.data import class_shown, classes_asked, in_natural_order
from sde_jax.errors import InputError, decimal


@pytest.mark.parametrize(
    "ordered",
    [
        [str(number) for number in range(12)],
        [f"run {number}" for number in (1, 2, 9, 10, 11, 100)],
        ["-10", "-1", "0", "0.25", "0.5", "2", "1e3"],
        ["1", "1a", "2", "10"],
        ["B", "a", "a1", "a1b", "a02", "a10", "b"],
        ["01", "1", "1.0", "2"],
        ["9" * 5000, "1" + "0" * 5000],
        ["n01440764", "n02102040", "n10565667"],
    ],
    ids=lambda names: names[0][:9],
)
def test_numbers_in_names_are_sorted_as_numbers_in_whatever_order_they_come(ordered):
    for seed in range(20):
        mixed = random.Random(seed).sample(ordered, len(ordered))
        assert list(in_natural_order([*mixed, *mixed])) == ordered


@pytest.mark.parametrize(
    ("asked", "names", "expected"),
    [
        ("3,5", (), (3, 5)),
        (" 3, 3", (), (3, 3)),
        ("dog", ("cat", "dog"), (1,)),
        ("0,dog", ("cat", "dog"), (0, 1)),
        ("3", ("1", "2", "3", "4"), (2,)),
        ("4,0", ("1", "2", "3", "4"), (3, 0)),
        ("10", ("0", "1", "10", "2"), (2,)),
        ("tench, Tinca tinca,shark", ("shark", "tench, Tinca tinca"), (1, 0)),
        ("a,b", ("a", "b", "a,b"), (2,)),
        ("2_0", ("x", "2_0"), (1,)),
    ],
)
def test_a_name_comes_before_an_index(asked, names, expected):
    assert classes_asked(asked, max(len(names), 10), names) == expected


@pytest.mark.parametrize(
    ("asked", "names", "said"),
    [
        ("3,10", (), "expected classes 0 to 9, not '10'"),
        ("x", (), "expected an integer from 0 to 9, not 'x'"),
        ("-1", (), "not '-1'"),
        ("1_0", (), "not '1_0'"),
        ("\u0663", (), "not"),
        ("dug", ("cat", "dog"), "or a name such as 'cat', 'dog', not 'dug'; did you mean 'dog'?"),
        ("crane", ("crane", "crane"), "classes 0, 1 are called 'crane'; expected the index of one"),
        ("1,", (), "not ''"),
    ],
)
def test_what_is_neither_a_name_nor_an_index_is_refused(asked, names, said):
    with pytest.raises(InputError) as raised:
        classes_asked(asked, 10, names)
    assert said in str(raised.value)


def test_an_index_is_shown_with_the_name_that_it_does_not_have():
    assert [class_shown(k, ("0", "cat")) for k in range(3)] == ["0", "1 (cat)", "2"]


@pytest.mark.parametrize("text", ["2020_01_01", "1_0", "", " 1", "0x1", "1e", "e5", ".", "1,5", "\u0663", "1f", "--1"])
def test_texts_that_python_or_a_reader_might_take_for_numbers_are_none(text):
    assert decimal(text) is None


@pytest.mark.parametrize("text", ["1", "-1.5e3", "+.5", "5.", "007", "1E-3", "inf", "-Infinity"])
def test_numbers_in_decimal_notation_are_read_as_python_does(text):
    assert decimal(text) == float(text)
