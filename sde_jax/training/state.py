"""What a training run carries from step to step."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Int

from sde_jax.pytree import in_one_line
from sde_jax.training.averages import Average
from sde_jax.training.health import Health
from sde_jax.typing import Array, Params


@in_one_line
@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """All that a step reads and writes: what is saved is this, so a resumed run is the run.

    step: steps done so far, [] int32; position: the number of the batch to read next, [] int32, which is `step` until a
    run is rolled back; params: the network's; averages: what the run's `Average` carries; optimizer: optax's state;
    health: what is known of the loss and the gradient so far. There is no key: the randomness of a step is a function
    of the run's seed and `position`.
    """

    step: Int[Array, ""]
    position: Int[Array, ""]
    params: Params
    averages: Any
    optimizer: optax.OptState
    health: Health

    @classmethod
    def create(cls, params: Params, optimizer: optax.GradientTransformation, average: Average) -> "TrainState":
        """Return the state before the first step."""
        # Two zeros: a step is given its state to write on, and no buffer may be in it twice.
        step, position = jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)
        return cls(step, position, params, average.init(params), optimizer.init(params), Health.create())
