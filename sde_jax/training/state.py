"""What a training run carries from step to step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Int

from sde_jax.training.averages import Average
from sde_jax.typing import Array, Params


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a step reads and writes: what is saved is this, so a resumed run is the run.

    step: updates done so far, [] int32, which is also the number of batches read; params: the network's;
    averages: what the run's `Average` carries; optimizer: optax's state. There is no key: the randomness of a step is a
    function of the run's seed and `step`.
    """

    step: Int[Array, ""]
    params: Params
    averages: Any
    optimizer: optax.OptState

    @classmethod
    def create(cls, params: Params, optimizer: optax.GradientTransformation, average: Average) -> "TrainState":
        """Return the state before the first step."""
        return cls(jnp.zeros((), jnp.int32), params, average.init(params), optimizer.init(params))
