"""What a classifier of clean examples is, whose features are used."""

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
