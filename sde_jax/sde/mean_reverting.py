"""The mean-reverting SDE of image restoration."""

import abc
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np

from sde_jax.errors import InputError
from sde_jax.pytree import known
from sde_jax.sde.path import GaussianPath, path
from sde_jax.typing import Array, Time


@path
class Reversion(abc.ABC):
    """The rate theta(t) at which a process forgets, up to a factor that makes alpha(1) = delta: a part of
    `MeanReverting`. A subclass states `elapsed`. Raises `InputError` unless 0 < delta < 1.
    """

    delta: float = 0.005

    def __post_init__(self):
        if known(self.delta) and not 0 < self.delta < 1:
            raise InputError(f"{self}: expected 0 < delta < 1")

    @abc.abstractmethod
    def elapsed(self, t: Time) -> Array:
        """Return the integral of theta from 0 to t over that from 0 to 1."""

    def integral(self, t: Time) -> Array:
        """Return Theta(t), the integral of theta from 0 to t; Theta(1) = -log(delta)."""
        return -jnp.log(self.delta) * self.elapsed(t)


@path
class ConstantReversion(Reversion):
    """theta(t) = -log(delta)."""

    def elapsed(self, t: Time) -> Array:
        """Return t."""
        return jnp.asarray(t, float)


@path
class CosineReversion(Reversion):
    """theta(t) proportional to 1 - cos^2(phi(t)) / cos^2(phi(0)), phi(t) = (t + s) / (1 + s) pi/2 (Luo et al. 2023).

    Raises `InputError` unless s >= 0.
    """

    s: float = 0.008

    def __post_init__(self):
        super().__post_init__()
        if known(self.s) and not 0 <= self.s < float("inf"):
            raise InputError(f"{self}: expected s >= 0")

    def elapsed(self, t: Time) -> Array:
        """Return the integral by Gauss' rule, here exact to the last digit; the closed form loses digits near 0."""
        nodes, weights = np.polynomial.legendre.leggauss(16)

        def integral(t: Time) -> Array:
            turned = t * (nodes + 1) / 2 * (jnp.pi / 2 / (1 + self.s))
            return t * jnp.sum(weights * jnp.sin(turned) * jnp.sin(turned + self.s / (1 + self.s) * jnp.pi))

        return integral(jnp.asarray(t, float)) / integral(jnp.ones(()))


@path
class MeanReverting(GaussianPath):
    """dx = theta(t) (mean - x) dt + deviation sqrt(2 theta(t)) dw (Luo et al. 2023, IR-SDE, eq. 3).

    x_t | x_0 ~ N(mean + exp(-Theta) (x_0 - mean), deviation^2 (1 - exp(-2 Theta)) I) with Theta the integral of theta
    (eq. 6): x forgets x_0 for `mean`, a degraded image say, one for each example, and starts back from
    N(mean, deviation^2). Raises `InputError` unless deviation > 0.
    """

    mean: Array | float
    deviation: Array | float = 1.0
    reversion: Reversion = CosineReversion()

    def __post_init__(self):
        if known(self.deviation) and not 0 < self.deviation < float("inf"):
            raise InputError(f"{self}: expected deviation > 0, in the units of x")

    def log_alpha(self, t: Time) -> Array:
        """Return -Theta(t)."""
        return -self.reversion.integral(t)

    def variance(self, t: Time) -> Array:
        """Return deviation^2 (1 - exp(-2 Theta(t)))."""
        return -jnp.square(self.deviation) * jnp.expm1(-2 * self.reversion.integral(t))

    def offset(self, t: Time) -> Array:
        """Return (1 - exp(-Theta(t))) mean."""
        return -jnp.expm1(-self.reversion.integral(t)) * self.mean

    def prior_mean(self) -> Array:
        """Return the mean, which is b(1) / (1 - delta)."""
        return jnp.asarray(self.mean, float)

    def prior_variance(self) -> Array:
        """Return deviation^2."""
        return jnp.square(jnp.asarray(self.deviation, float))


@path
class Restoration(GaussianPath):
    """`MeanReverting` whose mean is the example's own degraded version, its fact `channels`, of the shape of x.

    A network that hears it too (`nn.Channels`) is trained to restore (Luo et al. 2023). Where it is NaN, not given, the
    mean is 0. Until `given` it is the process of x_t less its offset, and has no prior. Raises `InputError` unless
    deviation > 0.
    """

    deviation: Array | float = 1.0
    reversion: Reversion = CosineReversion()

    def __post_init__(self):
        self.about(0.0)

    def about(self, mean: Array | float) -> MeanReverting:
        """Return the process that reverts to a mean."""
        return MeanReverting(mean, self.deviation, self.reversion)

    def log_alpha(self, t: Time) -> Array:
        """Return -Theta(t)."""
        return self.about(0.0).log_alpha(t)

    def variance(self, t: Time) -> Array:
        """Return deviation^2 (1 - exp(-2 Theta(t)))."""
        return self.about(0.0).variance(t)

    def given(self, facts: Mapping[str, Array | np.ndarray]) -> MeanReverting:
        """Return the process of one example. Raises `InputError` where the facts hold no `channels`."""
        if "channels" not in facts:
            raise InputError(
                f"a process that restores, given {', '.join(facts) or 'nothing'}: expected the degraded example as "
                "`channels`: train with a training.degradation or with channels beside the data, draw by Model.restore"
            )
        mean = jnp.asarray(facts["channels"])
        return self.about(jnp.where(jnp.isnan(mean), 0, mean))

    def prior_mean(self) -> Array:
        """Raise `InputError`: it is the degraded example."""
        return self.given({}).prior_mean()

    def prior_variance(self) -> Array:
        """Return deviation^2."""
        return self.about(0.0).prior_variance()
