"""A classifier of noisy examples of dense layers, for tables, low dimensions and very small images."""

from dataclasses import dataclass

from flax import nnx

from sde_jax.errors import InputError, whole
from sde_jax.nn.mlp import MLP, ResidualMLP


@dataclass(frozen=True)
class NoisePerceptron:
    """The residual network of `MLP` with logits for its output: (x, c_noise) -> logits, float [classes].

    It starts with all classes alike, as its last layer starts at zero. Raises `InputError` where a field is out of
    range.
    """

    classes: int = 10
    width: int = 256
    depth: int = 2
    dropout: float = 0.1

    def __post_init__(self):
        if not whole(self.classes, 2):
            raise InputError(f"{self}: expected 2 or more classes")
        self._blocks()

    @property
    def hears_noise(self) -> bool:
        """True."""
        return True

    def build(self, shape: tuple[int, ...], *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the network for examples of `shape`."""
        return ResidualMLP(self._blocks(), shape, (self.classes,), rngs)

    def _blocks(self) -> MLP:
        return MLP(self.width, self.depth, self.dropout)
