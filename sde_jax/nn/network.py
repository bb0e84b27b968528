"""What every whole network is."""

import math

import jax
from flax import nnx


class Network(nnx.Module):
    """A module that is shown in one line rather than as the tree of all that is in it."""

    def __repr__(self) -> str:
        """Return its class and how many parameters it has."""
        parameters = jax.tree.leaves(nnx.state(self, nnx.Param))
        return f"<{type(self).__name__} of {sum(math.prod(leaf.shape) for leaf in parameters):,} parameters>"

    __str__ = __repr__
