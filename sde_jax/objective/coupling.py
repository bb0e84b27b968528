"""Which noise is mixed with which example."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from sde_jax.errors import InputError
from sde_jax.pytree import in_one_line
from sde_jax.typing import Array, Key

Batch = Float[Array, "n ..."]


class Coupling(Protocol):
    """A joint distribution of clean examples and noise, of which n pairs are a batch."""

    def pair(self, key: Key, x0: Batch, eps: Batch) -> tuple[Batch, Batch]:
        """Return n pairs (x0, eps), given n examples and n independent draws of noise."""
        ...


@dataclass(frozen=True)
class Independent:
    """Noise that knows nothing of its example: denoising score matching."""

    def pair(self, key: Key, x0: Batch, eps: Batch) -> tuple[Batch, Batch]:
        """Return what was given."""
        return x0, eps


@dataclass(frozen=True)
class OptimalTransport:
    """The permutation of a batch's noise of least sum |x0 - eps|^2 (Pooladian et al. 2023; Tong et al. 2024).

    Exact, on the host, in O(n^3): of the cost only the inner products depend on the permutation. The minimiser of the
    loss is then no longer the score of the path, but its `Velocity` still carries noise to data, by straighter ways.
    """

    def pair(self, key: Key, x0: Batch, eps: Batch) -> tuple[Batch, Batch]:
        """Return the examples as they are, and the noise in the order of its partners."""
        n = len(x0)
        products = jnp.matmul(x0.reshape(n, -1), eps.reshape(n, -1).T, precision="highest")
        order = jax.pure_callback(_assignment, jax.ShapeDtypeStruct((n,), np.int32), products)
        return x0, eps[order]


@in_one_line
class Reflow(NamedTuple):
    """Pairs made beforehand, in arrays: x0 is where a trained model's flow carries eps (Liu et al. 2023).

    A batch is drawn from them with replacement, whatever it is given.
    """

    x0: Float[Array, "pairs ..."]
    eps: Float[Array, "pairs ..."]

    def pair(self, key: Key, x0: Batch, eps: Batch) -> tuple[Batch, Batch]:
        """Return as many pairs as there are examples. Raises `InputError` unless all arrays hold examples alike."""
        if not (self.x0.shape == self.eps.shape and self.x0.shape[1:] == x0.shape[1:] and len(self.x0) > 0):
            shapes = f"x0 of shape {self.x0.shape} and eps of shape {self.eps.shape}"
            raise InputError(f"Reflow: {shapes}: expected as many of either, each of shape {x0.shape[1:]}")
        rows = jax.random.randint(key, (len(x0),), 0, len(self.x0))
        return jnp.asarray(self.x0)[rows], jnp.asarray(self.eps)[rows]


def _assignment(products: Float[np.ndarray, "n n"]) -> Int[np.ndarray, " n"]:
    from scipy.optimize import linear_sum_assignment  # heavy

    return linear_sum_assignment(products, maximize=True)[1].astype(np.int32)
