import itertools

import numpy as np
import pytest

from sde_jax.data import (
    Arrays,
    Splits,
    batches,
    checked,
    in_proportion,
    labels_of,
    numbered_as,
    require_labels,
    unused_labels,
)
from sde_jax.errors import InputError

DATA = np.zeros((2000, 2), np.float32)


class Read:
    """A source that does not hold its labels, and counts what is read."""

    def __init__(self, labels):
        self._inner, self.read = Arrays(DATA[: len(labels)], labels), []

    def __len__(self):
        return len(self._inner)

    def __getitem__(self, index):
        self.read.append(index)
        return self._inner[index]


def test_labels_come_in_order_from_the_source_or_from_its_examples():
    labels = np.arange(2000) % 7 - 1
    np.testing.assert_array_equal(labels_of(Arrays(DATA, labels)), labels)
    np.testing.assert_array_equal(labels_of(Read(labels)), labels)
    some = Read(labels)
    np.testing.assert_array_equal(labels_of(some, most=10), labels[::200])
    assert len(some.read) == 10
    assert labels_of(Arrays(DATA)).tolist() == [-1] * 2000
    assert len(labels_of(Arrays(DATA[:0]))) == 0


def test_labels_are_known_to_fit_before_training():
    labels = np.arange(2000) % 4 - 1
    for source in (Arrays(DATA, labels), Read(labels)):
        require_labels(source, 3)
        with pytest.raises(InputError, match=r"have label 2; expected classes 0 \.\. 1.*a condition of 3 classes"):
            require_labels(source, 2)
    seen = Read(labels)
    require_labels(seen, 3)
    assert len(seen.read) == 1024
    with pytest.raises(InputError, match="no labels; expected classes 0"):
        require_labels(Arrays(DATA), 3)
    with pytest.raises(InputError, match="have label 4"):
        require_labels(Arrays(DATA, labels), 3, ("a", "b", "c", "d", "e"))


def test_a_label_that_was_not_looked_at_is_told_when_it_is_read():
    labels = np.zeros(20, int)
    labels[7] = 3
    stream = batches(Arrays(DATA[:20], labels), batch_size=2, seed=0)
    plain = list(itertools.islice(stream, 10))
    at = next(n for n, batch in enumerate(plain) if 3 in batch["label"])
    stream = checked(batches(Arrays(DATA[:20], labels), batch_size=2, seed=0), 3)
    for n in range(at):
        np.testing.assert_array_equal(next(stream)["index"], plain[n]["index"])
    with pytest.raises(InputError, match="have label 3"):
        next(stream)


def test_labels_in_proportion_have_the_counts_exactly_and_every_part_of_them_nearly():
    for counts in ([90, 10], [5, 0, 3, 1], [7], [1, 1, 1], [120, 30, 7, 1]):
        total, share = sum(counts), np.array(counts) / sum(counts)
        labels = in_proportion(counts, 3 * total)
        for rounds in (1, 2, 3):
            np.testing.assert_array_equal(
                np.bincount(labels[: rounds * total], minlength=len(counts)), rounds * np.array(counts)
            )
        for length in range(1, 2 * total, 7):
            there = np.bincount(labels[:length], minlength=len(counts))
            assert np.abs(there - length * share).max() <= 1
            np.testing.assert_array_equal(in_proportion(counts, length), labels[:length])
    np.testing.assert_array_equal(in_proportion([4, 4, 4], 8), np.arange(8) % 3)


@pytest.mark.parametrize("counts", [[0, 0], [-1, 2], [np.nan, 1], [[1]], []])
def test_counts_of_nothing_are_refused(counts):
    with pytest.raises(InputError, match="expected \\[classes\\]"):
        in_proportion(np.array(counts), 3)


def test_labels_are_renumbered_by_their_names():
    labels = np.array([0, 1, 2, -1, 2])
    for source in (Arrays(DATA[:5], labels), Read(labels)):
        splits = Splits(source, source, (2,), None, classes=("0", "2", "10"))
        there = numbered_as(splits, ("0", "10", "2"))
        assert there.classes == ("0", "10", "2")
        for split in (there.train, there.held_out):
            assert labels_of(split).tolist() == [0, 2, 1, -1, 1]
            assert hasattr(split, "labels") == hasattr(source, "labels")
        assert numbered_as(splits, ()) is splits
        with pytest.raises(InputError, match=r"without \['1'\], with \['0', '10'\]"):
            numbered_as(splits, ("1", "2"))


def test_classes_that_no_example_is_of_are_known_where_labels_are():
    labels = np.array([0, 2, 2])
    assert unused_labels(Arrays(DATA[:3], labels), 5) == [1, 3, 4]
    assert unused_labels(Read(labels), 5) == []
    assert unused_labels(Read(labels), 5, ("a", "b", "c")) == [3, 4]
