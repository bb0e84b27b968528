"""What a network reads in an example."""

from typing import NamedTuple

from jaxtyping import Float

from sde_jax.pytree import in_one_line
from sde_jax.typing import Array


@in_one_line
class Reading(NamedTuple):
    """The features of one example, and the logits, which are linear in them."""

    features: Float[Array, " d"]
    logits: Float[Array, " k"]
