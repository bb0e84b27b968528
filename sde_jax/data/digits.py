"""Scikit-learn's handwritten digits: small enough to train on without an accelerator."""

import os
from dataclasses import dataclass
from pathlib import Path

from sde_jax.data.sources import Splits
from sde_jax.errors import InputError


@dataclass(frozen=True)
class Digits:
    """The 1,797 handwritten digits of scikit-learn: 8x8x1, grey levels 0 .. 16, labels 0 .. 9.

    They come with scikit-learn, so nothing is downloaded. The first `open` writes them under `path` as a
    TensorFlow Datasets data set (array_record), which takes seconds; later ones read it. An empty `path`
    means `sde_jax` in the user's cache directory, $XDG_CACHE_HOME or else ~/.cache. The split is fixed: of
    `numpy.random.RandomState(0).permutation(1797)`, the first 1,500 are `train`, the other 297 `held_out`.

    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository,
    1998.
    """

    path: str = ""

    def open(self) -> Splits:
        """`train` [1500] and `held_out` [297], shape (8, 8, 1), 17 levels, held in memory.

        Raises InputError if `path` cannot be written, or holds something other than these data.
        """
        # scikit-learn and tfds take seconds to import; configs, which import this module, must not pay.
        from sde_jax.data.digits_builder import read_digits

        try:
            root = Path(self.path).expanduser() if self.path else user_cache()
        except RuntimeError as error:
            raise InputError(f"no folder for the digits ({error}); give Digits another path") from error
        return read_digits(root)


def user_cache() -> Path:
    """Return the folder of this package in the user's cache directory."""
    # The XDG specification: a relative path is invalid and to be ignored.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (configured if configured.is_absolute() else Path.home() / ".cache") / "sde_jax"
