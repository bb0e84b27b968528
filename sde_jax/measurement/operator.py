"""What is measured of an example, before noise."""

import abc
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from sde_jax.errors import InputError
from sde_jax.measurement.spectrum import Spectrum
from sde_jax.pytree import component, concrete, function
from sde_jax.typing import Array


class Operator(abc.ABC):
    """A map A of ONE x0 to what is measured of it, an array of any shape.

    A subclass, decorated with `@component`, states `__call__`. Its arrays are leaves of a pytree, so that a program
    that is compiled for one mask serves every other. Space is the first two axes of x0, with channels last, where it
    has three axes; otherwise it is all of them.
    """

    linear: ClassVar[bool] = True
    """Whether A(u + v) = A(u) + A(v); `require_linear` looks whether it is true."""

    @abc.abstractmethod
    def __call__(self, x0: Array) -> Array:
        """Return A(x0)."""

    @property
    def measured(self) -> Bool[Array, "..."]:
        """Which entries of y are measured at all, broadcasts against y: what a mask hides is not, whatever y holds."""
        return jnp.ones((), bool)

    def adjoint(self, y: Array, shape: tuple[int, ...]) -> Array:
        """Return the x0 of `shape` with <A u, y> = <u, x0> for every u, of a linear operator."""
        return jax.linear_transpose(self, jax.ShapeDtypeStruct(shape, y.dtype))(y)[0]

    def spectrum(self, shape: tuple[int, ...]) -> Spectrum:
        """Return the singular values and bases of a linear operator of x0 of `shape`.

        Raises `InputError` for an operator whose spectrum is not known in closed form.
        """
        raise InputError(
            f"{type(self).__name__}: its singular values are not known in closed form; expected Identity, Mask, "
            "MeanPool, Grey or Blur, or another method, such as MomentMatching()"
        )


def space(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes of space of an example of `shape`."""
    return (0, 1) if len(shape) == 3 else tuple(range(len(shape)))


@component
class Identity(Operator):
    """A(x0) = x0: all is measured, but for what is missing (NaN) in a measurement's value."""

    def __call__(self, x0: Array) -> Array:
        """Return x0."""
        return x0

    def spectrum(self, shape: tuple[int, ...]) -> Spectrum:
        """Return singular values of 1."""
        return Spectrum(_same, _same, _same, jnp.ones(()))


@component
class Mask(Operator):
    """A(x0) = x0 where `observed`; elsewhere 0, and no measurement.

    observed: bool, or 0 and 1, broadcasts against x0. Raises `InputError` for other numbers, for numbers that are
    traced, which nothing can look at, and, of an x0, for a mask that does not broadcast to its shape.
    """

    observed: Bool[Array, "..."]

    def __post_init__(self):
        object.__setattr__(self, "observed", as_mask(self.observed))

    @property
    def measured(self) -> Bool[Array, "..."]:
        """Where `observed`."""
        return jnp.asarray(self.observed, bool)

    def __call__(self, x0: Array) -> Array:
        """Return what is observed."""
        if jnp.broadcast_shapes(jnp.shape(self.observed), x0.shape) != x0.shape:
            raise InputError(
                f"a mask of shape {jnp.shape(self.observed)} for x0 of shape {x0.shape}: expected that shape"
            )
        return jnp.where(self.observed, x0, 0)

    def spectrum(self, shape: tuple[int, ...]) -> Spectrum:
        """Return singular values of 1 and 0."""
        return Spectrum(_same, _same, _same, jnp.asarray(self.observed, float))


@component
class Matrix(Operator):
    """A(x0) = matrix @ x0, x0's n numbers in order. matrix: [m, n]."""

    matrix: Float[Array, "m n"]

    def __call__(self, x0: Array) -> Array:
        """Return [m]."""
        return jnp.asarray(self.matrix) @ x0.reshape(-1)


@component
class Chain(Operator):
    """Operators one after the other, the first first."""

    parts: tuple[Operator, ...]

    @property
    def linear(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether all parts are."""
        return all(part.linear for part in self.parts)

    @property
    def measured(self) -> Bool[Array, "..."]:
        """What the last part measures, and no mask hides before it with only such as keep entries apart between."""
        seen = jnp.ones((), bool)
        for part in reversed(self.parts):
            seen = seen & part.measured
            if not isinstance(part, Identity | Mask):
                break
        return seen

    def __call__(self, x0: Array) -> Array:
        """Return the last one's value."""
        for part in self.parts:
            x0 = part(x0)
        return x0


@component
class Linear(Operator):
    """A linear function of one x0, of the user's: `Linear(lambda x: x[::2])`.

    What `Schedule` says of functions holds. Its adjoint is by `jax.linear_transpose`.
    """

    of: Callable[[Any], Array]

    def __post_init__(self):
        object.__setattr__(self, "of", function(self.of))

    def __call__(self, x0: Array) -> Array:
        """Return `of(x0)`."""
        return self.of(x0)


@component
class NonLinear(Linear):
    """A differentiable function of one x0, of the user's; methods linearise it at the clean estimate."""

    linear: ClassVar[bool] = False


def as_mask(mask: Any) -> Any:
    """Return a mask, bool; raises `InputError` where it holds other numbers than 0 and 1, or is traced and no bool."""
    if not concrete(mask):
        if mask.dtype != bool:
            raise InputError(f"a mask of {mask.dtype} that is traced: expected bool, as mask == 1")
        return mask
    values = np.asarray(mask)
    wrong = np.unique(values[(values != 0) & (values != 1)])
    if wrong.size:
        found = ", ".join(f"{value:g}" for value in wrong[:4])
        raise InputError(f"a mask that holds {found}: expected bool, or 0 where nothing is known and 1 where it is")
    return mask if values.dtype == bool else values == 1


def require_linear(operator: Operator, shape: tuple[int, ...], tolerance: float = 1e-3) -> None:
    """Raise `InputError` where an operator that is declared linear is not: A(u + v) - A(u) - A(v) for random u, v.

    Inside a transformation an operator whose arrays are traced has no values to look at, and passes.
    """
    if not operator.linear or not concrete(operator):
        return
    with jax.ensure_compile_time_eval():
        u, v = jax.random.normal(jax.random.key(0), (2, *shape))
        sum_of, of_sum = operator(u) + operator(v), operator(u + v)
        error, size = (float(jnp.max(jnp.abs(a), initial=0)) for a in (of_sum - sum_of, of_sum))
    if not error <= tolerance * max(size, 1e-6):
        raise InputError(
            f"{type(operator).__name__} is not linear: A(u + v) and A(u) + A(v) differ by {error:.3g} where A is of "
            f"size {size:.3g}; expected a linear function, or NonLinear(...)"
        )


def _same(x: Array) -> Array:
    return x
