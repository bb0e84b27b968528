"""A pass over data: every example once, in batches of one size."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sde_jax.data.pipeline import in_order
from sde_jax.data.sources import Source


@dataclass(frozen=True)
class Portion:
    """Examples `first` to `last` - 1 of a source, which keep their indices there."""

    source: Source
    first: int
    last: int

    def __len__(self) -> int:
        """The number of examples."""
        return max(min(self.last, len(self.source)) - self.first, 0)

    def __getitem__(self, index: int) -> Mapping[str, np.ndarray]:
        """The example that is number `index` of these."""
        return self.source[self.first + range(len(self))[index]]


def passing(
    source: Source, rows: int, first: int = 0, last: int | None = None
) -> Iterator[tuple[dict[str, np.ndarray], int]]:
    """Yield the examples from `first` to `last` - 1 (or the end) in order, each once: (batch, how many of it count).

    A batch has exactly `rows` rows, so that one program serves all; the last is filled up with repeated ones.
    """
    portion = Portion(source, first, len(source) if last is None else last)
    for batch in in_order(portion, rows) if len(portion) else ():
        count = len(batch["index"])
        fill = np.resize(np.arange(count), rows)
        yield {name: values[fill] for name, values in batch.items()}, count
