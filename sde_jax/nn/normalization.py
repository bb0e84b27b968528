"""The normalisations that a network is built with."""

from dataclasses import dataclass
from typing import Protocol

from flax import nnx

from sde_jax.errors import InputError, whole
from sde_jax.nn.instance_norms import InstanceNorm, InstanceNormPlus, VarianceNorm
from sde_jax.nn.norms import GroupNorm


class Normalization(Protocol):
    """A kind of normalisation, as a run's configuration names it."""

    def norm(self, channels: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a module [h, w, channels] -> the same shape; raises `InputError` where it cannot have `channels`."""
        ...


@dataclass(frozen=True)
class GroupNormalization:
    """`GroupNorm` with a number of groups, None for min(channels / 4, 32).

    Raises `InputError` unless `groups` is None or a whole number of 1 or more.
    """

    groups: int | None = 32

    def __post_init__(self):
        if self.groups is not None and not whole(self.groups, 1):
            raise InputError(f"{self}: expected a whole number of groups, 1 or more")

    def norm(self, channels: int, *, rngs: nnx.Rngs) -> GroupNorm:
        """Return the module; raises `InputError` where the groups do not divide the channels."""
        return GroupNorm(channels, self.groups)


@dataclass(frozen=True)
class InstanceNormalization:
    """`InstanceNorm`."""

    def norm(self, channels: int, *, rngs: nnx.Rngs) -> InstanceNorm:
        """Return the module."""
        return InstanceNorm(channels)


@dataclass(frozen=True)
class InstanceNormalizationPlus:
    """`InstanceNormPlus`: of NCSNv2."""

    def norm(self, channels: int, *, rngs: nnx.Rngs) -> InstanceNormPlus:
        """Return the module."""
        return InstanceNormPlus(channels, rngs=rngs)


@dataclass(frozen=True)
class VarianceNormalization:
    """`VarianceNorm`."""

    def norm(self, channels: int, *, rngs: nnx.Rngs) -> VarianceNorm:
        """Return the module."""
        return VarianceNorm(channels, rngs=rngs)
