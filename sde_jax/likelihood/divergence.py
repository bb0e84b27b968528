"""The divergence of a vector field, exact or estimated, by Jacobian-vector products."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.typing import Array, Key


class Divergence(Protocol):
    """div v = tr J from the quadratic forms e^T J e of probes e that are held along a whole trajectory."""

    def probes(self, key: Key, shape: tuple[int, ...]) -> Float[Array, "k ..."]:
        """Return the probes, [k, *shape]."""
        ...

    def estimates(self, forms: Float[Array, " k"]) -> Float[Array, " m"]:
        """Return m independent estimates of the trace from the k quadratic forms."""
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

    def estimates(self, forms: Array) -> Array:
        """Return the sum of the forms."""
        return jnp.sum(forms, keepdims=True)

    def standard_error(self, estimates: Array) -> Array:
        """Return 0."""
        return jnp.zeros(())


@dataclass(frozen=True)
class Hutchinson:
    """The unbiased estimate e^T J e with signs e drawn at random (Skilling 1989, Hutchinson 1990).

    `probes_per_example` of them share one trajectory, and their spread gives the standard error. One alone has
    none: its standard error is reported as infinite. Raises `InputError` unless there is at least one.
    """

    probes_per_example: int = 1

    def __post_init__(self):
        if self.probes_per_example < 1:
            raise InputError(f"{self}: expected at least one probe")

    def probes(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Return random signs."""
        return jax.random.rademacher(key, (self.probes_per_example, *shape), jnp.result_type(float))

    def estimates(self, forms: Array) -> Array:
        """Return the forms: each is an estimate."""
        return forms

    def standard_error(self, estimates: Array) -> Array:
        """Return the standard deviation of the estimates over the square root of their number."""
        k = self.probes_per_example
        return jnp.std(estimates, ddof=1) / jnp.sqrt(k) if k > 1 else jnp.full((), jnp.inf)


def quadratic_forms(
    field: Callable[[Array], Array], x: Array, probes: Float[Array, "k ..."]
) -> tuple[Array, Float[Array, " k"]]:
    """Return field(x) and e^T J(x) e for every probe e: one evaluation and k Jacobian-vector products."""

    def directional(probe: Array) -> tuple[Array, Array]:
        value, tangent = jax.jvp(field, (x,), (probe,))
        return value, jnp.sum(probe * tangent)

    return jax.vmap(directional, out_axes=(None, 0))(probes)
