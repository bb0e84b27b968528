"""What a classifier is: of clean examples, whose features are used, and of noisy ones, by which samples are guided."""

from typing import Protocol

from flax import nnx


class Classifier(Protocol):
    """A frozen dataclass that builds a network (x of a shape, of mean about 0 and deviation about 1) -> `Reading`."""

    @property
    def features(self) -> int:
        """The number of features."""
        ...

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a freshly initialised network for examples of `shape`; raises `InputError` where it cannot."""
        ...


class NoiseClassifier(Protocol):
    """A frozen dataclass that builds a network (x, noise) -> logits [classes], made functional like an `Architecture`.

    hears_noise: True, by which it is told from a `Classifier`.
    """

    @property
    def classes(self) -> int:
        """The number of classes."""
        ...

    @property
    def hears_noise(self) -> bool:
        """True."""
        ...

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a freshly initialised network for examples of `shape`; raises `InputError` where it cannot."""
        ...
