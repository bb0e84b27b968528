"""Statistics of numbers that are read a part at a time."""

import numpy as np


class Moments:
    """Ranges, means and deviations along the last axis of data [n, ..., k], and how often each level occurs.

    Sums are float64, of parts that are combined by Chan, Golub and LeVeque's formula.
    """

    def __init__(self, levels: int | None):
        self._count, self._squares = 0, np.zeros(())
        self.mean = np.zeros(())
        self.least, self.most = np.array(np.inf), np.array(-np.inf)
        self.occurrences = np.zeros(levels if levels is not None and levels <= 2**16 else 0, np.int64)

    @property
    def deviation(self) -> np.ndarray:
        """The deviation along the last axis, [k]."""
        return np.sqrt(self._squares / max(self._count, 1))

    def spread(self, shift: np.ndarray | float = 0.0, scale: np.ndarray | float = 1.0) -> float:
        """The deviation of all numbers together, each of them (value - shift) / scale."""
        return float(np.sqrt(np.mean((self.deviation / scale) ** 2) + np.var((self.mean - shift) / scale)))

    def add(self, data: np.ndarray) -> None:
        """Count the numbers of some examples [n, ..., k], n >= 1."""
        values = data.reshape(-1, data.shape[-1])
        if self.occurrences.size:
            self.occurrences += np.bincount(values.ravel(), minlength=len(self.occurrences))
        values = values.astype(np.float64)
        total, mean = self._count + len(values), values.mean(0)
        moved = (mean - self.mean) * (len(values) / total)
        self._squares = self._squares + ((values - mean) ** 2).sum(0) + (mean - self.mean) * moved * self._count
        self.mean, self._count = self.mean + moved, total
        self.least, self.most = np.minimum(self.least, values.min(0)), np.maximum(self.most, values.max(0))
