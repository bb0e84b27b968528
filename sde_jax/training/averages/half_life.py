"""The exponential moving average whose length is counted in images."""

import math
from dataclasses import dataclass

import jax.numpy as jnp
from jaxtyping import Int

from sde_jax.errors import InputError
from sde_jax.training.averages.average import Average, toward
from sde_jax.typing import Array, Params


@dataclass(frozen=True)
class HalfLife(Average):
    """averages <- r averages + (1 - r) params with r = 0.5^(B / h), B images a step, so that B changes no weight.

    h = min(images, ramp (n - 1) B) at step n: never longer than a share `ramp` of the images before it, so that the
    initial parameters are forgotten at once; `ramp` 0 is none, h = images. Karras et al. 2022, appendix F.2.
    Raises `InputError` unless images > 0 and ramp >= 0 are finite.
    """

    images: float = 500_000
    ramp: float = 0.05

    def __post_init__(self):
        if not (0 < self.images < math.inf and 0 <= self.ramp < math.inf):
            raise InputError(f"{self}: expected images > 0 and ramp >= 0")

    def update(self, averages: Params, params: Params, step: Int[Array, ""], batch_size: int) -> Params:
        """Return the averages after update number `step` (from 1)."""
        half_life = jnp.asarray(self.images / batch_size)
        if self.ramp:
            half_life = jnp.minimum(half_life, self.ramp * (step - 1))
        return toward(averages, params, -jnp.expm1(-math.log(2) / half_life))
