"""What an average of the parameters is."""

import abc
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Float, Int

from sde_jax.typing import Array, Params


class Average(abc.ABC):
    """A frozen dataclass that says how parameters are averaged while they are trained.

    What it carries from step to step, `averages`, is a pytree of arrays and part of the train state: one tree of the
    shape of the parameters, unless it says otherwise.
    """

    def init(self, params: Params) -> Any:
        """Return the averages before the first update: a copy of the parameters."""
        return jax.tree.map(jnp.copy, params)

    @abc.abstractmethod
    def update(self, averages: Any, params: Params, step: Int[Array, ""], batch_size: int) -> Any:
        """Return the averages after update number `step` (from 1), which gave `params`.

        batch_size: examples in an update, over all devices.
        """

    def params(self, averages: Any) -> Params:
        """Return the average that samples are drawn with."""
        return averages

    def named(self, averages: Any) -> Mapping[str, Params]:
        """Return the averages that can be asked for by a name; none where there is one alone."""
        return {}


def toward(averages: Params, params: Params, rate: Float[Array, ""]) -> Params:
    """Return (1 - rate) averages + rate params, in the types of the averages."""
    return jax.tree.map(lambda a, p: a + rate.astype(a.dtype) * (p - a), averages, params)
