"""The divergence of a vector field, exact or estimated, by Jacobian-vector products."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError, takes_components, whole
from sde_jax.likelihood.probes import Probe, Rademacher
from sde_jax.typing import Array, Key

Matvec: TypeAlias = Callable[[Float[Array, "j ..."]], Float[Array, "j ..."]]
"""j vectors -> J times each of them."""


class Divergence(Protocol):
    """div v = tr J from the products of J with probes that are held along a whole trajectory."""

    def probes(self, key: Key, shape: tuple[int, ...]) -> Float[Array, "k ..."]:
        """Return the probes, [k, *shape]."""
        ...

    def estimates(self, matvec: Matvec, probes: Float[Array, "k ..."]) -> Float[Array, " m"]:
        """Return m estimates of the trace, whose mean is the estimate."""
        ...

    def standard_error(self, estimates: Float[Array, " m"]) -> Float[Array, ""]:
        """Return the standard error of the estimates' mean."""
        ...


@dataclass(frozen=True)
class Exact:
    """The trace itself: one probe for each of the n numbers in x, so n Jacobian-vector products an evaluation."""

    def probes(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Return the n unit vectors."""
        size = jnp.zeros(shape).size
        return jnp.eye(size).reshape(size, *shape)

    def estimates(self, matvec: Matvec, probes: Array) -> Array:
        """Return the sum of the forms."""
        return jnp.sum(quadratic_forms(matvec, probes), keepdims=True)

    def standard_error(self, estimates: Array) -> Array:
        """Return 0."""
        return jnp.zeros(())


@dataclass(frozen=True)
class Sampled:
    """What every estimate from several probes of one example shares: their number and its standard error."""

    probes_per_example: int = 1

    def __post_init__(self):
        if not whole(self.probes_per_example, 1):
            raise InputError(f"{self}: expected at least one probe, a whole number of them")

    def standard_error(self, estimates: Array) -> Array:
        """Return the standard deviation of the estimates over the square root of their number.

        Its square is unbiased; of few estimates an interval takes Student's t of their number less one, not a normal's
        quantile: of 4 for 90% 2.35 standard errors.
        """
        k = self.probes_per_example
        return jnp.std(estimates, ddof=1) / jnp.sqrt(k) if k > 1 else jnp.full((), jnp.inf)


@takes_components
@dataclass(frozen=True)
class Hutchinson(Sampled):
    """The unbiased estimate e^T J e with random e of covariance I (Skilling 1989, Hutchinson 1990).

    `probes_per_example` of them, random signs unless `probe` says otherwise, share one trajectory, and their spread
    gives the standard error. One alone has none: its standard error is reported as infinite. Signs have the smaller
    variance: 2 |S|^2 - 2 sum_i S_ii^2 in place of 2 |S|^2, with S = (J + J^T) / 2. Raises `InputError` unless there
    is at least one.
    """

    probe: Probe = field(default_factory=Rademacher)

    def probes(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Draw the probes."""
        return self.probe.draw(key, (self.probes_per_example, *shape))

    def estimates(self, matvec: Matvec, probes: Array) -> Array:
        """Return the forms: each is an estimate."""
        return quadratic_forms(matvec, probes)


def quadratic_forms(matvec: Matvec, vectors: Float[Array, "k ..."]) -> Float[Array, " k"]:
    """Return e^T J e of every vector e: one product each."""
    return jnp.sum((vectors * matvec(vectors)).reshape(len(vectors), -1), axis=1)


def linear(value: Callable[[Array], Array], x: Array) -> tuple[Array, Matvec]:
    """Return value(x), evaluated once, and the products with its Jacobian there."""
    out, product = jax.linearize(value, x)
    return out, jax.vmap(product)
