"""Traces with the part that a few probes find taken exactly, and only the rest estimated."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax.scipy.linalg import solve_triangular
from jaxtyping import Float

from sde_jax.errors import InputError, whole
from sde_jax.likelihood.divergence import Matvec, Sampled, quadratic_forms
from sde_jax.likelihood.probes import Gaussian, Rademacher
from sde_jax.typing import Array, Key


@dataclass(frozen=True)
class HutchPP(Sampled):
    """Hutch++ (Meyer et al. 2021): tr(Q^T J Q) + the mean of g^T (I - Q Q^T) J (I - Q Q^T) g over random signs g.

    Q is an orthonormal basis of J times Gaussian vectors, as many as there are g: `probes_per_example` = k of each,
    and 3 k products an evaluation. Unbiased given Q, so that the spread over g is the standard error, infinite for
    one; exact where k reaches the rank of J. Raises `InputError` unless k >= 1.
    """

    probes_per_example: int = 4

    def probes(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Return the k Gaussian vectors that find Q, then the k signs g."""
        k, (first, second) = self.probes_per_example, jax.random.split(key)
        return jnp.concatenate([Gaussian().draw(first, (k, *shape)), Rademacher().draw(second, (k, *shape))])

    def estimates(self, matvec: Matvec, probes: Array) -> Array:
        """Return k estimates, one for every g."""
        sketch, rest = jnp.split(probes, 2)
        q = jnp.linalg.qr(_columns(matvec(sketch)))[0]
        columns = _columns(rest)
        found = quadratic_forms(matvec, _vectors(q, probes.shape))
        left = quadratic_forms(matvec, _vectors(columns - q @ (q.T @ columns), probes.shape))
        return jnp.sum(found) + left


@dataclass(frozen=True)
class XTrace(Sampled):
    """XTrace (Epperly, Tropp, Webber 2024): every probe is the test of the basis that all the others find.

    With the columns w_i of W Gaussian, Q_i an orthonormal basis of J times all columns but w_i, P = I - Q_i Q_i^T:

        estimate_i = tr(Q_i^T J Q_i) + (n - m + 1) (P w_i)^T J (P w_i) / |P w_i|^2,

    each unbiased, since the direction of P w_i is uniform in its space of n - m + 1 dimensions. They are exchangeable,
    and their spread over sqrt(m) stands for the standard error (section 2.3). `probes_per_example` = m, 2 m products
    an evaluation; exact at m = n and where m exceeds the rank of J. Raises `InputError` unless m >= 2, and for m > n.
    """

    probes_per_example: int = 4

    def __post_init__(self):
        if not whole(self.probes_per_example, 2):
            raise InputError(f"{self}: expected two or more probes, a whole number of them")

    def probes(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Return m Gaussian vectors."""
        if self.probes_per_example > jnp.zeros(shape).size:
            raise InputError(f"{self} for x of shape {shape}: expected no more probes than numbers in x; take Exact")
        return Gaussian().draw(key, (self.probes_per_example, *shape))

    def estimates(self, matvec: Matvec, probes: Array) -> Array:
        """Return the m estimates, from one decomposition: Q_i Q_i^T = Q (I - s_i s_i^T) Q^T."""
        w, image = _columns(probes), _columns(matvec(probes))
        q, r = jnp.linalg.qr(image)
        product = _columns(matvec(_vectors(q, probes.shape)))
        among = q.T @ product
        n, m = w.shape
        # s_i is orthogonal to every column of R but the i-th: the columns of R^-T
        s = solve_triangular(_regular(r), jnp.eye(m, dtype=r.dtype), trans="T", lower=False)
        s = s / jnp.linalg.norm(s, axis=0)

        def estimate(s: Array, w: Array, image: Array) -> Array:
            inside = q.T @ w
            inside = inside - s * (s @ inside)
            left, moved = w - q @ inside, image - product @ inside
            return jnp.trace(among) - s @ among @ s + (n - m + 1) * (left @ moved) / (left @ left)

        return jax.vmap(estimate, in_axes=1)(s, w, image)


def _regular(r: Array) -> Array:
    """Return a triangular matrix with no zero on its diagonal: where J has a small rank, any s_i will do."""
    diagonal = jnp.abs(jnp.diagonal(r))
    floor = jnp.finfo(r.dtype).eps * jnp.max(diagonal) + jnp.sqrt(jnp.finfo(r.dtype).tiny)
    return r + jnp.diag(jnp.where(diagonal < floor, floor, 0.0))


def _columns(vectors: Float[Array, "k ..."]) -> Float[Array, "n k"]:
    return vectors.reshape(len(vectors), -1).T


def _vectors(columns: Float[Array, "n k"], shape: tuple[int, ...]) -> Float[Array, "k ..."]:
    return columns.T.reshape(-1, *shape[1:])
