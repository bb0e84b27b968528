"""The exponential moving average."""

from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Int

from sde_jax.errors import InputError
from sde_jax.training.averages.average import Average, toward
from sde_jax.typing import Array, Params


@dataclass(frozen=True)
class ExponentialAverage(Average):
    """averages <- r averages + (1 - r) params after every step.

    r = decay, as in the official JAX code; with `ramp`, r = min(decay, (1 + n) / (10 + n)) at step n, which forgets
    the initial parameters, as in the official PyTorch code. Song et al. 2021, appendix H, uses decay 0.9999 for VP and
    0.999 for VE. Raises `InputError` unless 0 <= decay < 1.
    """

    decay: float = 0.9999
    ramp: bool = True

    def __post_init__(self):
        if not 0 <= self.decay < 1:
            raise InputError(f"{self}: expected 0 <= decay < 1")

    def update(self, averages: Params, params: Params, step: Int[Array, ""], batch_size: int) -> Params:
        """Return the averages after update number `step` (from 1)."""
        decay = jnp.minimum(self.decay, (1 + step) / (10 + step)) if self.ramp else jnp.asarray(self.decay)
        return toward(averages, params, 1 - decay)
