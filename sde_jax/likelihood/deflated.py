"""Traces with the part that a few probes find taken exactly, and only the rest estimated."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
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

    each unbiased, since the direction of P w_i is uniform in its space of n - m + 1 dimensions; T is their mean. They
    depend on each other, and their variance over m, which section 2.3 takes for T's, is too small, by up to 2.7 times
    over n = 12 to 64, m = 2 to 8 and spectra from flat to geometric. The jackknife's, of T_i, the estimate from all
    probes but w_i, is on average no less than the variance of an estimate from m - 1 (Efron & Stein 1981): 1 to 4 times
    T's there, and more where one probe more finds nearly all. The standard error is the root of their geometric mean:
    0.9 to 1.2 times the deviation, and up to 1.8 where spectra fall fast.

    `probes_per_example` = m, 2 m products an evaluation; exact, with an error of 0, at m = n and where m exceeds the
    rank of J. Raises `InputError` unless m >= 2, and for m > n.
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
        """Return the m estimates, then T - (m - 1) (T_i - mean) for each i, from one decomposition.

        The basis without the columns of a set is Q (I - D D^T), D an orthonormal basis of the s_i of the set.
        """
        w, image = _columns(probes), _columns(matvec(probes))
        q = jnp.linalg.qr(image)[0]
        # R from Q, not from the decomposition: two batched calls of LAPACK that do not wait for each other can take all
        # threads of jaxlib's CPU pool (seen with 0.10.2 on two cores), and then both wait for ever.
        r = jnp.triu(q.T @ image)
        product = _columns(matvec(_vectors(q, probes.shape)))
        among = q.T @ product
        n, m = w.shape
        # s_i is orthogonal to every column of R but the i-th: the columns of R^-T
        s = solve_triangular(_regular(r), jnp.eye(m, dtype=r.dtype), trans="T", lower=False)
        s = _unit(s.T)

        def estimate(i: Array, without: Array) -> Array:
            """Return the estimate from w_i by the basis without the columns that `without` [k, m] stands for."""
            inside = q.T @ w[:, i]
            inside = inside - without.T @ (without @ inside)
            left, moved = w[:, i] - q @ inside, image[:, i] - product @ inside
            inner = jnp.trace(among) - jnp.sum(without * (without @ among.T))
            return inner + (n - m + len(without)) * (left @ moved) / (left @ left)

        def left_out(i: Array, others: Array) -> Array:
            """Return T_i."""

            def one(j: Array) -> Array:
                beside = _unit(s[j] - (s[j] @ s[i]) * s[i])
                return estimate(j, jnp.stack([s[i], _unit(beside - (beside @ s[i]) * s[i])]))

            return jnp.mean(jax.vmap(one)(others))

        each = jnp.arange(m)
        found = jax.vmap(lambda i: estimate(i, s[i][None]))(each)
        others = np.array([[j for j in range(m) if j != i] for i in range(m)])
        partial = jax.vmap(left_out)(each, jnp.asarray(others))
        return jnp.concatenate([found, jnp.mean(found) - (m - 1) * (partial - jnp.mean(partial))])

    def standard_error(self, estimates: Array) -> Array:
        """Return the root of the geometric mean of the estimates' and the jackknife's variance."""
        spread, jackknife = (Sampled.standard_error(self, part) for part in jnp.split(estimates, 2))
        return jnp.sqrt(spread * jackknife)


def _unit(rows: Float[Array, "... m"]) -> Float[Array, "... m"]:
    length = jnp.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / jnp.where(length > 0, length, 1.0)


def _regular(r: Array) -> Array:
    """Return a triangular matrix with no zero on its diagonal: where J has a small rank, any s_i will do."""
    diagonal = jnp.abs(jnp.diagonal(r))
    floor = jnp.finfo(r.dtype).eps * jnp.max(diagonal) + jnp.sqrt(jnp.finfo(r.dtype).tiny)
    return r + jnp.diag(jnp.where(diagonal < floor, floor, 0.0))


def _columns(vectors: Float[Array, "k ..."]) -> Float[Array, "n k"]:
    return vectors.reshape(len(vectors), -1).T


def _vectors(columns: Float[Array, "n k"], shape: tuple[int, ...]) -> Float[Array, "k ..."]:
    return columns.T.reshape(-1, *shape[1:])
