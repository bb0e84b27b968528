"""Several conditions at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flax import nnx

from sde_jax.errors import InputError
from sde_jax.nn.condition import Channels, ClassLabel, Condition, Conditioning, Facts, Vector
from sde_jax.typing import Array


@dataclass(frozen=True)
class Conditions:
    """Conditions side by side, each by the name of the fact that it is: {"label": ClassLabel(10), ...}.

    A condition is a mapping of one for every name, each its own null token or not, so that one can be dropped without
    the others; one that is left out, or None, is null. What is embedded is added up, what is appended is appended in
    order. Raises `InputError` unless there are some, each a ClassLabel, a Vector or Channels.
    """

    parts: Mapping[str, Condition]

    def __post_init__(self):
        if not self.parts or not all(isinstance(p, ClassLabel | Vector | Channels) for p in self.parts.values()):
            raise InputError(
                f"Conditions of {dict(self.parts)}: expected ClassLabel, Vector or Channels, each by a name"
            )

    def null(self, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return the null token of each."""
        return {name: part.null(shape) for name, part in self.parts.items()}

    def hears(self) -> Mapping[str, Condition]:
        """Return the parts."""
        return self.parts

    def of(self, facts: Facts, shape: tuple[int, ...]) -> dict[str, Any]:
        """Return the condition that each fact is."""
        return {name: _of(part, facts.get(name), shape) for name, part in self.parts.items()}

    def conditioning(self, shape: tuple[int, ...], features: int, *, rngs: nnx.Rngs) -> Conditioning:
        """Return the parts that hear each."""
        return _Together({name: part.conditioning(shape, features, rngs=rngs) for name, part in self.parts.items()})


def _of(part: Condition, fact: Array | None, shape: tuple[int, ...]) -> Any:
    (name,) = part.hears()
    return part.of({} if fact is None else {name: fact}, shape)


class _Together(Conditioning):
    def __init__(self, parts: Mapping[str, Conditioning]):
        self.parts = nnx.Dict(parts)
        self.channels = sum(part.channels for part in parts.values())
        self.embeds = any(part.embeds for part in parts.values())

    def embed(self, condition: Mapping[str, Array | None] | None) -> Array | float:
        given = self._given(condition)
        return sum((part.embed(given.get(name)) for name, part in self.parts.items()), start=0.0)

    def join(self, x: Array, condition: Mapping[str, Array | None] | None) -> Array:
        given = self._given(condition)
        for name, part in self.parts.items():
            x = part.join(x, given.get(name))
        return x

    def _given(self, condition: Mapping[str, Array | None] | None) -> Mapping[str, Array | None]:
        names = sorted(self.parts)
        if condition is None:
            return {}
        if not isinstance(condition, Mapping) or not set(condition) <= set(names):
            raise InputError(f"condition {condition!r:.60}: expected a mapping of {', '.join(names)}, or None")
        return condition
