import itertools

import numpy as np
import pytest

from sde_jax.data import Arrays, batches, checked, labels_of, require_labels
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
