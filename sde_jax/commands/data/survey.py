"""One reading of every example of a data set."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

from sde_jax.commands.data.copies import Copies
from sde_jax.commands.data.moments import Moments
from sde_jax.data import Source, Splits
from sde_jax.data.preparation import reading_threads
from sde_jax.errors import InputError

KEPT_BYTES = 2**30
"""Examples to train on are kept in memory up to this size; of more, as many as that, chosen at random."""
_AT_ONCE = 256


class Survey:
    """What both splits hold, read once, without stopping at what is wrong.

    moments: of all numbers; copies: of examples; labels: how often each occurs, by split, -1 for none; turned: how many
    images are turned or mirrored as their metadata say. damaged, wild:
    what cannot be read, and what holds numbers that are not finite or are no levels, a line each; these are left out of
    all else. kept, kept_labels: examples to train on [k, ...] and their labels [k].
    """

    def __init__(self, splits: Splits):
        self._splits = splits
        self._dtype = np.dtype(np.float32 if splits.levels is None else np.uint8 if splits.levels <= 256 else np.int32)
        self._bytes = math.prod(splits.shape) * self._dtype.itemsize
        self.moments, self.copies = Moments(splits.levels), Copies()
        self.labels: dict[str, Counter[int]] = {}
        self.turned = 0
        self.damaged: list[str] = []
        self.wild: list[str] = []
        chosen = _chosen(len(splits.train), max(2, KEPT_BYTES // self._bytes))
        kept, labels = np.empty((len(chosen), *splits.shape), self._dtype), np.full(len(chosen), -1)
        count = self._read(chosen, kept, labels)
        self.kept, self.kept_labels = kept[:count], labels[:count]

    def _read(self, chosen: np.ndarray, kept: np.ndarray, kept_labels: np.ndarray) -> int:
        count, wanted = 0, set(chosen.tolist())
        sources = {"train": self._splits.train, "held_out": self._splits.held_out}
        with tqdm(total=sum(map(len, sources.values())), desc="inspect", unit="example", delay=1) as bar:
            for split, source in sources.items():
                labels = self.labels[split] = Counter()
                for examples in self._parts(split, source):
                    for example in examples:
                        data, label = example["data"], int(example["label"])
                        labels[label] += 1
                        self.copies.add(data, label, split)
                        if split == "train" and int(example["index"]) in wanted:
                            kept[count], kept_labels[count] = data, label
                            count += 1
                        bar.update()
                    if examples:
                        self.moments.add(np.stack([example["data"] for example in examples]))
        return count

    def _parts(self, split: str, source: Source) -> Iterator[list[Mapping[str, np.ndarray]]]:
        """Yield the examples that are right, some hundred at a time."""

        def read(index: int) -> Mapping[str, np.ndarray] | str:
            try:
                return source[index]
            except InputError as error:
                return str(error)

        with ThreadPoolExecutor(reading_threads(self._bytes)) as pool:
            for start in range(0, len(source), _AT_ONCE):
                right = []
                for example in pool.map(read, range(start, min(start + _AT_ONCE, len(source)))):
                    if isinstance(example, str):
                        self.damaged.append(example)
                    elif self._is_tame(example["data"]):
                        right.append(example)
                    else:
                        levels = self._splits.levels
                        what = "numbers that are not finite" if levels is None else f"levels beyond 0 to {levels - 1}"
                        self.wild.append(f"example {example['index']} of {split} holds {what}")
                turned = getattr(source, "turned", None)  # which sources of image files say
                if turned is not None:
                    self.turned += sum(pool.map(turned, [int(example["index"]) for example in right]))
                yield right

    def _is_tame(self, data: np.ndarray) -> bool:
        levels = self._splits.levels
        return bool(np.isfinite(data).all() if levels is None else data.min() >= 0 and data.max() < levels)


def _chosen(count: int, most: int) -> np.ndarray:
    return np.arange(count) if count <= most else np.random.RandomState(0).choice(count, most, replace=False)
