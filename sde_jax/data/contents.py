"""What tells a run's data from others, cheaply enough to be asked at every start, and where the two differ."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sde_jax.data.sources import Source, Splits

READ = 2**30
"""Bytes of a split that are read; of larger ones every second, third, ... example is."""
PARTS = 32
"""At most so many parts have a digest of their own."""


@dataclass(frozen=True)
class Contents:
    """A split: how many examples it has, and digests of `size` examples each, in order.

    A digest is of labels, of names where the source has files, and of the data as they are stored: not of where they
    lie. Examples that were only added at the end leave the digests before them as they are.
    """

    examples: int = 0
    size: int = 1
    digests: tuple[str, ...] = ()

    def change(self, other: "Contents") -> str:
        """Return how another split differs from this one, in words; "" where it does not."""
        if self == other:
            return ""
        count = "" if self.examples == other.examples else f"{self.examples:,} examples there, {other.examples:,} here"
        if self.size != other.size:
            return count
        pairs = enumerate(zip(self.digests, other.digests, strict=False))
        part = next((i for i, (mine, theirs) in pairs if mine != theirs), None)
        if part is None:
            return count
        last = min((part + 1) * self.size, max(self.examples, other.examples)) - 1
        return ", ".join(filter(None, [count, f"the first difference among examples {part * self.size} to {last}"]))


@dataclass(frozen=True)
class DataContents:
    """Both splits of a run's data."""

    train: Contents
    held_out: Contents

    @classmethod
    def of(cls, splits: Splits) -> "DataContents":
        """Return those of open data; raises what reading them raises."""
        return cls(contents(splits.train), contents(splits.held_out))

    def changes(self, other: "DataContents") -> list[str]:
        """Return how other data differ from these, a line for each split that does."""
        pairs = (("train", self.train, other.train), ("held_out", self.held_out, other.held_out))
        return [f"{name}: {change}" for name, mine, theirs in pairs if (change := mine.change(theirs))]


def contents(source: Source) -> Contents:
    """Return what a split holds. A source may have `stored(index)`, the bytes of an example before it is decoded."""
    count = len(source)
    if not count:
        return Contents()
    stored: Callable[[int], bytes] = getattr(source, "stored", None) or (lambda index: _bytes(source[index]))
    stride = max(1, -(-count * len(stored(0)) // READ))
    size = 1 << max(0, -(-count // PARTS) - 1).bit_length()
    starts = range(0, count, size)
    return Contents(count, size, tuple(_digest(source, stored, range(n, min(n + size, count)), stride) for n in starts))


def _digest(source: Source, stored: Callable[[int], bytes], rows: range, stride: int) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for piece in _labels_and_names(source, rows):
        digest.update(piece)
    for index in rows:
        if index % stride == 0:
            content = stored(index)
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
    return digest.hexdigest()


def _labels_and_names(source: Source, rows: range) -> Iterator[bytes]:
    """Yield the labels of some rows, where they can be had without reading each, and the names of their files."""
    labels, names = getattr(source, "labels", None), getattr(source, "names", None)
    if labels is not None:
        yield labels[rows.start : rows.stop].astype("<i8").tobytes()
    if names is not None:
        yield "\0".join(names[rows.start : rows.stop]).encode("utf-8", "surrogateescape")


def _bytes(example: Any) -> bytes:
    data = example["data"]
    kind = f"{data.dtype.str} {data.shape} {int(example['label'])} ".encode()
    return kind + data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()
