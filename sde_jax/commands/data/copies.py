"""Examples that occur more than once."""

import hashlib

import numpy as np


class Copies:
    """Counts of examples whose data equal those of an earlier one, by 128 bits of a hash.

    repeated: in the same split; shared: held out and trained on; relabelled: under another label.
    """

    def __init__(self):
        self.repeated = self.shared = self.relabelled = 0
        self._seen: dict[bytes, tuple[str, int]] = {}

    def add(self, data: np.ndarray, label: int, split: str) -> None:
        """Count an example; `train` comes first."""
        digest = hashlib.blake2b(data.tobytes(), digest_size=16).digest()
        if digest not in self._seen:
            self._seen[digest] = split, label
            return
        first_split, first_label = self._seen[digest]
        self.repeated += first_split == split
        self.shared += first_split != split
        self.relabelled += first_label != label
