"""What a training run carries from step to step."""

import dataclasses

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Int

from sde_jax.typing import Array, Params


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a step reads and writes: what is saved is this, so a resumed run is the run.

    step: updates done so far, [] int32, which is also the number of batches read; params: the network's;
    averages: the moving average of params; optimizer: optax's state. There is no key: the randomness of a step is a
    function of the run's seed and `step`.
    """

    step: Int[Array, ""]
    params: Params
    averages: Params
    optimizer: optax.OptState

    @classmethod
    def create(cls, params: Params, optimizer: optax.GradientTransformation) -> "TrainState":
        """Return the state before the first step."""
        copy = jax.tree.map(jnp.copy, params)
        return cls(jnp.zeros((), jnp.int32), params, copy, optimizer.init(params))
