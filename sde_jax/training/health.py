"""Whether the numbers of a step can be trusted."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Bool, Float, Int

from sde_jax.typing import Array

Number = Float[Array, ""]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Health:
    """Running means over healthy steps, [] float32, and counts of steps, [] int32: part of the state of training.

    loss, gradient_norm: means of |loss| and of the gradient's norm, over all healthy steps while there are few and
    with rate 1/`MEMORY` then; healthy, skipped: how many steps were, and how many were left out.
    """

    loss: Number
    gradient_norm: Number
    healthy: Int[Array, ""]
    skipped: Int[Array, ""]

    MEMORY = 100

    @classmethod
    def create(cls) -> "Health":
        """Return what is known before the first step."""
        return cls(jnp.zeros(()), jnp.zeros(()), jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))

    def judge(self, loss: Number, gradient_norm: Number, spike: float, settled: int) -> Bool[Array, ""]:
        """Return whether both numbers are finite and, after `settled` steps, at most `spike` times their means.

        spike = 0 asks for finite numbers alone.
        """
        finite = jnp.isfinite(loss) & jnp.isfinite(gradient_norm)
        if not spike:
            return finite
        low = (jnp.abs(loss) <= spike * self.loss) & (gradient_norm <= spike * self.gradient_norm)
        return finite & (low | (self.healthy < settled))

    def after(self, loss: Number, gradient_norm: Number, healthy: Bool[Array, ""]) -> "Health":
        """Return what is known after a step, which was healthy or left out."""
        rate = jnp.where(healthy, 1 / jnp.minimum(self.healthy + 1, self.MEMORY), 0)

        def mean(before: Number, now: Number) -> Number:
            return before + rate * (jnp.where(healthy, jnp.abs(now), 0) - before)

        return Health(
            mean(self.loss, loss),
            mean(self.gradient_norm, gradient_norm),
            self.healthy + healthy,
            self.skipped + ~healthy,
        )
