"""Embeddings of the noise label."""

from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.typing import Array


class Embedding(Protocol):
    """A kind of embedding, as a run's configuration names it."""

    def embedder(self, features: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return a module from a scalar to `size` numbers, for a network of so many features (a multiple of 4)."""
        ...


@dataclass(frozen=True)
class Positional:
    """`positional`, as many numbers as the network has features."""

    def embedder(self, features: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module."""
        return _Positional(features)


@dataclass(frozen=True)
class Fourier:
    """sin and cos of 2 pi W log(label) with W ~ N(0, scale^2) drawn once, two numbers for each of the features.

    Without `logarithm` the label itself takes the place of its logarithm. W is a parameter that is never trained.
    Raises `InputError` unless scale > 0. Tancik et al. 2020, as in Song et al. 2021 (appendix H).
    """

    scale: float = 16.0
    logarithm: bool = True

    def __post_init__(self):
        if not 0 < self.scale < float("inf"):
            raise InputError(f"{self}: expected scale > 0")

    def embedder(self, features: int, *, rngs: nnx.Rngs) -> nnx.Module:
        """Return the module."""
        return _Fourier(self, features, rngs)


def positional(noise: Float[Array, ""], features: int) -> Float[Array, " features"]:
    """Return sines and cosines of a scalar at `features / 2` geometric frequencies from 1 to 1/10,000.

    `features` is even. Vaswani et al. 2017 (section 3.5), in the order and spacing of Ho et al. 2020.
    """
    half = features // 2
    # Rounded to float32 once, at the end: an error of a frequency is multiplied by labels of up to 999.
    frequencies = np.exp(-np.log(10_000) * np.arange(half) / (half - 1)).astype(np.float32)
    return jnp.concatenate([jnp.sin(noise * frequencies), jnp.cos(noise * frequencies)])


class _Positional(nnx.Module):
    def __init__(self, features: int):
        self.size = features

    def __call__(self, noise: Array) -> Array:
        return positional(noise, self.size)


class _Fourier(nnx.Module):
    def __init__(self, kind: Fourier, features: int, rngs: nnx.Rngs):
        self.size = 2 * features
        self.logarithm = kind.logarithm
        self.W = nnx.Param(kind.scale * jax.random.normal(rngs.params(), (features,)))

    def __call__(self, noise: Array) -> Array:
        label = jnp.log(noise) if self.logarithm else jnp.asarray(noise)
        phases = label * jax.lax.stop_gradient(self.W[...]) * 2 * jnp.pi
        return jnp.concatenate([jnp.sin(phases), jnp.cos(phases)])
