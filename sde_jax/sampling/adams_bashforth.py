"""Adams-Bashforth samplers on the noise estimate: DEIS and iPNDM."""

import abc
from collections.abc import Sequence
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from sde_jax.prediction import Estimates
from sde_jax.sampling.grids import Karras, Spacing
from sde_jax.sampling.history import History, Multistep
from sde_jax.sampling.kernel import along_noise, lagrange_coefficients
from sde_jax.sampling.singlestep import check_order
from sde_jax.sampling.solver import Step
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Key, Time


@dataclass(frozen=True)
class AdamsBashforth(Multistep):
    """d(x / alpha) / d rho = eps, rho = sigma / alpha, with eps extrapolated from its last `order` values.

    x_s = alpha_s (x_t / alpha_t + (rho_s - rho_t) sum_m b_m eps_m), where the b_m, whose sum is 1, are all that
    distinguishes these samplers.
    """

    order: int = 3

    def __post_init__(self):
        check_order(self, self.order, 4)

    @property
    def convergence_order(self) -> float:
        """The order; at most 2 with a first or last step of order one."""
        return float(self.order if self.starter and not self.lower_order_final else min(self.order, 2))

    @property
    def draws_noise(self) -> bool:
        """No."""
        return False

    def lasting(self, sde: GaussianPath, t: Time) -> Array | bool:
        """Return whether later steps make use of the value at t.

        Where rho is infinite eps is not, and few steps err less with it; a `starter` begins where rho is finite.
        """
        return not self.starter or jnp.all(jnp.isfinite(sde.log_snr(t)))

    @abc.abstractmethod
    def coefficients(self, sde: GaussianPath, t: Time, s: Time, nodes: Sequence[Time]) -> list[Array]:
        """Return the b_m of the values at the times `nodes`, nodes[0] = t, for a step from t to s."""

    def observe(self, x: Array, t: Time, history: History, now: Estimates, sde: GaussianPath) -> tuple[Array, History]:
        """Remember the estimate of eps."""
        return x, history.extended(t, now.noise, self.lasting(sde, t))

    def advance(
        self, key: Key, x: Array, t: Time, s: Time, history: History, now: Estimates, sde: GaussianPath
    ) -> tuple[Step, History]:
        """Carry x from t to s."""
        eps = mean_eps = history.estimates[0]
        finite = jnp.all(sde.alpha(s) != 0)  # rho_s is, unless x is carried up to noise alone
        for order in range(2, self.order + 1):
            usable = finite & (history.usable(t, s) >= order)
            # Times that are not there yet are spread out, so that nothing is divided by 0 before it is left out.
            times = [jnp.where(usable, time, t + m * (t - s)) for m, time in enumerate(history.times[:order])]
            b = [jnp.where(usable, c, 0.0) for c in self.coefficients(sde, t, s, times)]
            mean_eps = jnp.where(usable, sum(c * e for c, e in zip(b, history.estimates, strict=False)), mean_eps)
        mean = along_noise(sde, t, s, now.clean, eps, mean_eps)
        return Step(mean, mean), history


@dataclass(frozen=True)
class DEIS(AdamsBashforth):
    """tAB-DEIS (Zhang & Chen 2023, eq. 15): eps is a polynomial in t, and its integral over rho is exact.

    Without `in_time` it is a polynomial in rho itself, rhoAB-DEIS: classical Adams-Bashforth with steps of any length.
    Raises `InputError` unless 1 <= order <= 4.
    """

    in_time: bool = True

    def lasting(self, sde: GaussianPath, t: Time) -> Array | bool:
        """Return whether later steps make use of the value at t; a polynomial in rho wants it finite."""
        return super().lasting(sde, t) & (self.in_time | jnp.all(jnp.isfinite(sde.log_snr(t))))

    def coefficients(self, sde: GaussianPath, t: Time, s: Time, nodes: Sequence[Time]) -> list[Array]:
        """Return b_m = int_0^1 l_m(r) dP(r), P the share of rho_s - rho_t that is covered at r.

        In rho P(r) = r. In t, int r^k dP = 1 - k int r^(k-1) P dr by parts, by Gauss-Legendre quadrature.
        """

        def rho(time: Time) -> Array:
            return jnp.exp(-sde.log_snr(time))

        start, length = rho(t), rho(s) - rho(t)
        if not self.in_time:
            r = [(rho(node) - start) / length for node in nodes]
            moments = [jnp.asarray(1 / (k + 1)) for k in range(len(nodes))]
        else:
            r = [jnp.asarray((node - t) / (s - t)) for node in nodes]
            points, weights = np.polynomial.legendre.leggauss(12)
            points, weights = (points + 1) / 2, weights / 2
            share = [(rho(t + point * (s - t)) - start) / length for point in points]
            parts = [
                sum(w * k * p ** (k - 1) * P for w, p, P in zip(weights, points, share, strict=True))
                for k in range(1, len(nodes))
            ]
            moments = [jnp.ones_like(length), *(1 - part for part in parts)]
        return [
            jnp.asarray(sum(c * moment for c, moment in zip(lagrange_coefficients(r, m), moments, strict=True)))
            for m in range(len(nodes))
        ]


CLASSICAL = [(1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24)]


@dataclass(frozen=True)
class IPNDM(AdamsBashforth):
    """iPNDM (Liu et al. 2022, eq. 12; Zhang & Chen 2023, appendix H): Adams-Bashforth as if all steps were equal.

    With a `starter` of order `order` where the grid falls in equal steps of rho = sigma / alpha,
    `grids.Karras(power=1)`; on other smooth grids 2. Raises `InputError` unless 1 <= order <= 4.
    """

    @property
    def spacing(self) -> Spacing:
        """Equal steps in rho."""
        return Karras(power=1.0)

    def coefficients(self, sde: GaussianPath, t: Time, s: Time, nodes: Sequence[Time]) -> list[Array]:
        """Return the classical coefficients."""
        return [jnp.asarray(c) for c in CLASSICAL[len(nodes) - 1]]
