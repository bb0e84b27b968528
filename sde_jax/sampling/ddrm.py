"""Denoising diffusion restoration: linear measurements, one singular value at a time."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np

from sde_jax.errors import InputError, takes_components
from sde_jax.measurement import Independent, Measurement
from sde_jax.prediction import estimates_of
from sde_jax.pytree import concrete, holds
from sde_jax.sampling.solver import FixedGridSolver, Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser, Key, Time


@takes_components
@dataclass(frozen=True)
class DDRM(FixedGridSolver):
    """One step of x / alpha = x0 + tau eps, tau = sigma / alpha, in the bases of A = U S V^T (Kawar et al. 2022).

    With D the clean estimate, e = (x / alpha - D) / tau_t, y' = S^-1 U^T y and r = deviation / S, a coefficient becomes

        D + tau_s (sqrt(1 - eta^2) e + eta z)                       where it is not measured,
        D + tau_s (sqrt(1 - eta^2) (y' - D) / r + eta z)            where tau_s < r,
        (1 - eta_b) D + eta_b y' + sqrt(tau_s^2 - eta_b^2 r^2) z    otherwise.

    Each has the variance tau_s^2 of the forward process around x0 if D is x0. No derivative of the denoiser is taken.
    An estimate, whose spread is not the posterior's. For operators with a `spectrum` and noise of one deviation;
    raises `InputError` for others, for an eta or eta_b outside [0, 1], and for missing values unless U = I.
    """

    measurement: Measurement
    eta: float = 0.85
    eta_b: float = 1.0

    def __post_init__(self):
        if not all(holds(lambda eta: 0 <= eta <= 1, eta) for eta in (self.eta, self.eta_b)):
            raise InputError(f"DDRM: eta = {self.eta}, eta_b = {self.eta_b}: expected numbers of [0, 1]")
        self._deviation()

    def _deviation(self) -> Array:
        noise = self.measurement.noise
        if not isinstance(noise, Independent) or jnp.ndim(noise.deviation):
            raise InputError(f"DDRM of noise {noise!r:.60}: expected Independent(deviation) of one number")
        return jnp.asarray(noise.deviation)

    def _value(self, separate: bool) -> Array:
        """Return y, 0 where it is missing and U = I; otherwise a NaN that cannot be seen here makes all samples NaN."""
        value = jnp.asarray(self.measurement.value)
        if separate:
            return self.measurement.kept(value)
        if concrete(self.measurement) and np.isnan(np.asarray(self.measurement.value)).any():
            raise InputError(
                f"DDRM of {type(self.measurement.operator).__name__} with {np.isnan(self.measurement.value).sum()} "
                "missing values: expected all of them, or another method, such as MomentMatching()"
            )
        return value

    @property
    def convergence_order(self) -> float:
        """0: more steps do not bring the posterior."""
        return 0.0

    def step(
        self, key: Key, x: Array, t: Time, s: Time, state: Any, *, sde: GaussianPath, denoise: Denoiser
    ) -> tuple[Step, Any]:
        """Carry x from t to s."""
        spectrum = self.measurement.operator.spectrum(x.shape)
        observed = self.measurement.observed
        value = self._value(spectrum.separate)
        values = spectrum.values * spectrum.of(observed.astype(x.dtype)) if spectrum.separate else spectrum.values
        measured = values > 1e-6
        r = jnp.where(measured, self._deviation() / jnp.where(measured, values, 1), jnp.inf)
        y = spectrum.of(value) / jnp.where(measured, values, 1)
        (clean, eps), tau = estimates_of(denoise, sde)(x, t), sde.sigma(s) / sde.alpha(s)
        d, e, z = (spectrum.to(v) for v in (clean, eps, sde.noise(key, x.shape, x.dtype)))
        away = jnp.where(measured, (y - d) / r, e)
        fine = tau >= r
        mean = jnp.where(fine, d + self.eta_b * (y - d), d + tau * jnp.sqrt(1 - self.eta**2) * away)
        left = jnp.where(fine, tau**2 - (self.eta_b * jnp.where(fine, r, 0)) ** 2, (self.eta * tau) ** 2)
        mean, noise = (sde.alpha(s) * spectrum.back(c) for c in (mean, jnp.sqrt(left) * z))
        return Step((mean + noise).astype(x.dtype), mean.astype(x.dtype)), state
