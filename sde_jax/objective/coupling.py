"""Which noise is mixed with which example, and what the loss's minimiser then is.

Pairs (x_0, eps) are drawn from a joint distribution q whose marginals are the data and N(0, I), and x_t = alpha x_0 + b
+ sigma eps. Whatever q is, the minimiser of the loss is D(x, t) = E_q[x_0 | x_t = x], and since eps is (x - b - alpha
D) / sigma in the mean,

    b' + alpha' D + sigma' (x - b - alpha D) / sigma = E_q[dx_t / dt | x_t = x],

the velocity that carries the law of x_t under q (Lipman et al. 2023; Liu et al. 2023): `reverse` without churn. The
probability flow, its samples and its likelihood are therefore right for every q, where x_1 is the prior's: exactly for
alpha(1) = 0, and on other paths up to what x_1 still knows of x_0.

Only for q = data x N(0, I) is p(x_t | x_0) the path's kernel, and (alpha D - x + b) / sigma^2 the score of x_t
(Tweedie). Whatever rests on the kernel or on the score is wrong for any other q: samplers that draw noise, correctors,
noise put back (SDEdit, imputation, restarts), guidance, posteriors, particles, the variational bound, and a change of
path at equal log-SNR, where x_t / alpha has another law.

Told a condition c, a network learns D(x, t, c) = E_q[x_0 | x_t = x, c], whose flow carries the law of eps given c. That
is the prior if eps knows nothing of c. Pairing within each class keeps it so: given its class, an example's noise is
one of as many independent draws, whichever it is. So it is for the network that is not told the class: its pairs are a
mixture of these.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Float, Int

from sde_jax.errors import InputError
from sde_jax.pytree import in_one_line
from sde_jax.typing import Array, Key

Batch = Float[Array, "n ..."]
Labels = Int[Array, "n ..."]
"""The class of each example, or its classes of several kinds."""


class Coupling(Protocol):
    """A joint distribution of clean examples and noise, of which n pairs are a batch.

    gives_score: whether the two are independent, so that the minimiser is E[x_0 | x_t] of the path, and its score.
    """

    @property
    def gives_score(self) -> bool:
        """Whether x0 and eps are independent."""
        ...

    def pair(self, key: Key, x0: Batch, eps: Batch, label: Labels | None = None) -> tuple[Batch, Batch]:
        """Return n pairs (x0, eps), given n examples, n independent draws of noise and the labels that are heard."""
        ...


@dataclass(frozen=True)
class Independent:
    """Noise that knows nothing of its example: denoising score matching."""

    @property
    def gives_score(self) -> bool:
        """Yes."""
        return True

    def pair(self, key: Key, x0: Batch, eps: Batch, label: Labels | None = None) -> tuple[Batch, Batch]:
        """Return what was given."""
        return x0, eps


@dataclass(frozen=True)
class OptimalTransport:
    """The permutation of a batch's noise of least sum |x0 - eps|^2 (Pooladian et al. 2023; Tong et al. 2024).

    Exact up to the rounding of the inner products, of which alone the cost's least permutation depends; O(n^3), in the
    compiled program, one row after the other (2 ms at n = 128 on a CPU core). Of labelled examples
    it is one permutation a class, so that the noise tells nothing of the class. The minimiser of the loss is not the
    score of the path, but the velocity of these pairs: it carries noise to data, of each class too, by straighter ways,
    by the probability flow alone.
    """

    @property
    def gives_score(self) -> bool:
        """No."""
        return False

    def pair(self, key: Key, x0: Batch, eps: Batch, label: Labels | None = None) -> tuple[Batch, Batch]:
        """Return the examples as they are, and the noise in the order of its partners, each of the same label."""
        n = len(x0)
        products = jnp.matmul(x0.reshape(n, -1), eps.reshape(n, -1).T, precision="highest")
        label = jnp.zeros(n, int) if label is None else label
        return x0, eps[_assignment(products, label)]


@in_one_line
class Reflow(NamedTuple):
    """Pairs made beforehand, in arrays: x0 is where a trained model's flow carries eps (Liu et al. 2023).

    A batch is drawn from them with replacement, whatever it is given. The minimiser is the velocity of these pairs, of
    the law of that model's samples.
    """

    x0: Float[Array, "pairs ..."]
    eps: Float[Array, "pairs ..."]

    @property
    def gives_score(self) -> bool:
        """No."""
        return False

    def pair(self, key: Key, x0: Batch, eps: Batch, label: Labels | None = None) -> tuple[Batch, Batch]:
        """Return as many pairs as there are examples. Raises `InputError` unless all arrays hold examples alike."""
        if not (self.x0.shape == self.eps.shape and self.x0.shape[1:] == x0.shape[1:] and len(self.x0) > 0):
            shapes = f"x0 of shape {self.x0.shape} and eps of shape {self.eps.shape}"
            raise InputError(f"Reflow: {shapes}: expected as many of either, each of shape {x0.shape[1:]}")
        rows = jax.random.randint(key, (len(x0),), 0, len(self.x0))
        return jnp.asarray(self.x0)[rows], jnp.asarray(self.eps)[rows]


def _assignment(products: Float[Array, "n n"], label: Int[Array, "n ..."]) -> Int[Array, " n"]:
    """Return the row of eps for each row of x0, among those of its label, of the largest sum of products."""
    kinds = label.reshape(len(label), -1)
    alike = jnp.all(kinds[:, None] == kinds[None], axis=-1)
    # A class has as many rows as columns, so that no pair of infinite cost is ever needed. A product that is not finite
    # would keep the search from ending; it stays in the loss, where it is seen.
    cost = jnp.where(alike, -jnp.where(jnp.isfinite(products), products, 0), jnp.inf)
    rows, columns = optax.assignment.hungarian_algorithm(cost)
    return jnp.zeros(len(rows), rows.dtype).at[rows].set(columns)
