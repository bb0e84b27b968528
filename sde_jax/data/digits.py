"""Scikit-learn's handwritten digits: small enough to train on without an accelerator."""

from dataclasses import dataclass
from pathlib import Path

from sde_jax.data.cache import user_cache
from sde_jax.data.sources import Splits


@dataclass(frozen=True)
class Digits:
    """The 1,797 handwritten digits of scikit-learn: 8x8x1, grey levels 0 .. 16, labels 0 .. 9.

    They come with scikit-learn, so nothing is downloaded. The first `open` writes them under `path` as a
    TensorFlow Datasets data set (array_record), which takes seconds; later ones read it. An empty `path`
    means `user_cache()`; where that cannot be written, they are made in memory each time. The split is fixed: of
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
        from sde_jax.data.digits_builder import prepared_digits, read_digits, unprepared_digits

        if self.path:
            return read_digits(Path(self.path).expanduser())
        try:
            return prepared_digits(user_cache())
        except OSError:  # a full disk
            return unprepared_digits()
