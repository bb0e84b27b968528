"""The moving average of the parameters."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Int

from sde_jax.errors import InputError
from sde_jax.typing import Array, Params


@dataclass(frozen=True)
class ExponentialAverage:
    """averages <- r averages + (1 - r) params after every step, with r = min(decay, (1 + n) / (10 + n)) at step n.

    The ramp forgets the initial parameters (the official PyTorch code's rule; Song et al. 2021, appendix H, uses
    decay 0.9999 for VP and 0.999 for VE). Raises `InputError` unless 0 <= decay < 1.
    """

    decay: float = 0.9999

    def __post_init__(self):
        if not 0 <= self.decay < 1:
            raise InputError(f"{self}: expected 0 <= decay < 1")

    def update(self, averages: Params, params: Params, step: Int[Array, ""]) -> Params:
        """Return the averages after update number `step` (from 1)."""
        rate = 1 - jnp.minimum(self.decay, (1 + step) / (10 + step))
        return jax.tree.map(lambda a, p: a + rate.astype(a.dtype) * (p - a), averages, params)
