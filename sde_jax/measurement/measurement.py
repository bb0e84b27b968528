"""What was measured: an operator, a value and its noise."""

from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from sde_jax.errors import InputError
from sde_jax.measurement.noise import Noise
from sde_jax.measurement.operator import Operator, require_linear
from sde_jax.pytree import component, concrete
from sde_jax.typing import Array, Key


@component
class Measurement:
    """y = A(x0) + n, n ~ N(0, R), of ONE x0; an entry that is NaN, or that A hides, is missing and says nothing.

    operator: A; value: y, of the shape of A(x0); noise: R. A pytree of arrays: what is compiled for one measurement
    serves others of the same shapes, and a batch of them is lifted by `jax.vmap`.
    """

    operator: Operator
    value: Float[Array, "..."]
    noise: Noise

    @property
    def observed(self) -> Bool[Array, "..."]:
        """Which entries of y there are: those that the operator measures and that are not NaN."""
        return ~jnp.isnan(jnp.asarray(self.value)) & self.operator.measured

    def residual(self, x0: Array) -> Array:
        """Return y - A(x0), 0 where y is missing."""
        return self.kept(jnp.asarray(self.value) - self.operator(x0))

    def kept(self, y: Array) -> Array:
        """Return y where there is an observation, 0 elsewhere."""
        return jnp.where(self.observed, y, 0)

    def log_prob(self, x0: Array, plus: Array | float = 0.0) -> Float[Array, ""]:
        """Return log N(y; A(x0), R + plus I) in nats, of what is observed."""
        return self.noise.log_prob(self.residual(x0), self.observed, plus)

    def chi_square(self, x0: Array) -> Float[Array, ""]:
        """Return (y - A(x0))^T R^-1 (y - A(x0)): about the number of observed entries where x0 is the truth."""
        return jnp.sum(self.noise.whitened(self.residual(x0), self.observed)[0] ** 2)

    def require(self, shape: tuple[int, ...]) -> None:
        """Raise `InputError` unless y and R fit an x0 of `shape`, and the operator is as linear as it says.

        Raises it too for an infinite value. Values and operators that are traced are not looked at.
        """
        if not isinstance(self.operator, Operator) or not isinstance(self.noise, Noise):
            raise InputError(f"{self.operator!r:.60}, {self.noise!r:.60}: expected an operator and a noise")
        measured = jax.eval_shape(self.operator, jax.ShapeDtypeStruct(shape, jnp.result_type(float)))
        if jnp.shape(self.value) != measured.shape:
            raise InputError(
                f"y of shape {jnp.shape(self.value)}, but {type(self.operator).__name__} makes {measured.shape} of x0 "
                f"of shape {shape}: expected equal shapes"
            )
        self.noise.require(measured.shape)
        if concrete(self.value) and np.isinf(np.asarray(self.value)).any():
            raise InputError("y holds infinity: expected finite numbers, and NaN for what is missing")
        require_linear(self.operator, shape)


Measurements: TypeAlias = Measurement | Sequence[Measurement]
"""One source, or several, each with its own noise."""


def sources(measurements: Measurements) -> tuple[Measurement, ...]:
    """Return the measurements as a tuple; raises `InputError` where there are none."""
    parts = (measurements,) if isinstance(measurements, Measurement) else tuple(measurements)
    if not parts or not all(isinstance(part, Measurement) for part in parts):
        raise InputError(f"measurements = {measurements!r:.60}: expected a Measurement, or several")
    return parts


def measure(key: Key, operator: Operator, x0: Array, noise: Noise) -> Measurement:
    """Draw a measurement of ONE x0: A(x0) + n."""
    y = operator(x0)
    return Measurement(operator, y + noise.draw(key, y.shape), noise)
