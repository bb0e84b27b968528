"""The laws bite: a part with one formula wrong is refused, by the law that it breaks."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sampling import FixedGridSolver, Step
from sde_jax.testing import check_sde, check_solver, marginal, moments


@sj.path
class Backwards(sj.VE):
    def variance(self, t):
        return super().variance(1 - t)


@sj.path
class WrongDrift(sj.VP):
    def rates(self, t):
        f, g2 = super().rates(t)
        return 2 * f, g2


@sj.path
class WrongDiffusion(sj.VP):
    def rates(self, t):
        f, g2 = super().rates(t)
        return f, g2 + 1e-3 * t


@sj.path
class SquareRootOfTime(sj.VP):
    def rates(self, t):
        f, g2 = super().rates(t)
        return f, g2 / jnp.where(t == 0, 0.0, 1.0)


@sj.path
class WrongScale(sj.VP):
    def transition(self, s, t):
        scale, std = super().transition(s, t)
        return jnp.sqrt(scale), std


@sj.path
class WrongStd(sj.VP):
    def transition(self, s, t):
        return super().transition(s, t)[0], jnp.sqrt(self.variance(t) - self.variance(s))


@sj.path
class WrongNoise(sj.VE):
    def perturb(self, key, x0, t):
        x, eps = super().perturb(key, x0, t)
        return x + 1e-3 * t * eps, eps


@sj.path
class ShortNoise(sj.VE):
    def perturb(self, key, x0, t):
        eps = jax.random.uniform(key, x0.shape, minval=-1.0)
        return self.alpha(t) * x0 + self.sigma(t) * eps, eps


@sj.path
class WrongInverse(sj.VP):
    def time_of(self, log_snr):
        return super().time_of(log_snr) + 1e-4


@sj.path
class WrongPrior(sj.VE):
    def prior_log_prob(self, x):
        return super().prior_log_prob(x) + jnp.log(self.prior_variance())


@sj.path
class WrongPriorDraw(sj.VE):
    def prior_sample(self, key, shape):
        return super().prior_sample(key, shape) + 25.0


@sj.path
class WrongOffset(sj.VE):
    def offset(self, t):
        return 0.1 + t


@sj.path
class WrongSpeed(sj.VE):
    def offset(self, t):
        return t

    def drift(self, x, t):
        return 0.0 * x


@sj.path
class WrongCentre(sj.VP):
    def offset(self, t):
        return t

    def drift(self, x, t):
        return self.rates(t)[0] * x + 1


@sj.path
class WrongVolume(sj.Transformed):
    def log_volume(self, data):
        return -super().log_volume(data)


@sj.path
class WrongData(sj.Transformed):
    def to_data(self, x0):
        return jnp.exp(-x0)


@pytest.mark.parametrize(
    ("path", "law"),
    [
        (Backwards(), "falls strictly with t: at t = "),
        (WrongDrift(), "f is the derivative of log alpha"),
        (WrongDiffusion(), "the integral of a.2 g.2"),
        (SquareRootOfTime(), "f and g.2 are finite at t = 0"),
        (WrongScale(), "Chapman-Kolmogorov|carried by the transition"),
        (WrongStd(), "Chapman-Kolmogorov: .*: at t = .*, s = .*, r = "),
        (WrongNoise(), "perturb returns alpha x_0"),
        (ShortNoise(), "eps of perturb has variance 1"),
        (WrongInverse(), "time_of inverts log_snr"),
        (WrongPrior(), "density of N"),
        (WrongPriorDraw(), "prior_sample .* has mean 0"),
        (WrongOffset(), "the offset is 0 at t = 0"),
        (WrongSpeed(), "the drift at the offset is its derivative"),
        (WrongCentre(), "the drift at the offset|the drift is f"),
        (WrongVolume(sj.VE(), sj.Log()), "log_volume is log"),
        (WrongData(sj.VE(), sj.Log()), "from_data undoes to_data"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_path_with_one_formula_wrong_breaks_the_law_of_that_formula(path, law):
    with pytest.raises(AssertionError, match=law):
        check_sde(path)


@dataclass(frozen=True)
class Sampler(FixedGridSolver):
    """x_s = mean + factor * std z, as Euler-Maruyama has it, with one thing wrong."""

    factor: float = 1.0
    twice: bool = False
    bend: float = 0.0

    def step(self, key, x, t, s, state, *, sde, denoise):
        drift, noise = sj.reverse(sde, denoise)
        mean = x + drift(x, t) * (s - t) + self.bend * (t - s) * jnp.sin(x)
        z = jax.random.normal(key, x.shape, x.dtype)
        z = (z + jax.random.normal(key, x.shape, x.dtype)) / np.sqrt(2) if self.twice else z
        return Step(mean + self.factor * noise(t) * jnp.sqrt(t - s) * z, mean), state


@pytest.mark.parametrize(
    ("solver", "order", "reason"),
    [
        (Sampler(), 2.0, r"has order 1\.\d\d, not 2: the moments err by .* in 32 steps"),
        (Sampler(factor=1.01), 1.0, r"has order 0\.\d\d, not 1"),
        (Sampler(twice=True), 1.0, "draws from one key twice"),
        (Sampler(bend=1.0), 1.0, "not affine in its normal draws"),
    ],
    ids=["order", "noise", "key", "affine"],
)
def test_a_sampler_that_is_not_what_it_claims_is_refused(solver, order, reason):
    with pytest.raises(AssertionError, match=reason):
        check_solver(solver, order)


@pytest.mark.slow
def test_the_moments_of_a_sampler_are_those_of_many_samples():
    # two draws a step, keys split and folded within a scan: nothing about the use of keys is assumed
    sde, mean, covariance = sj.VP(), np.array([0.5, -1.0]), np.array([[0.4, 0.1], [0.1, 0.2]])
    solver = sj.PredictorCorrector(corrector=sj.Langevin(snr=0.3, steps=2), noise_free=False)
    grid, n = np.array([0.5, 0.3, 0.2]), 100_000
    exact = moments(solver, sde, mean, covariance, [grid])[0]
    start, keys = marginal(sde, mean, covariance, 0.5), jax.random.split(jax.random.key(0), n)
    x = np.random.default_rng(0).multivariate_normal(*start, size=n).astype(np.float32)
    denoise = sj.exact.GaussianDenoiser(sde, mean, covariance)
    x = jax.jit(jax.vmap(lambda key, x: solver.solve(key, x, jnp.asarray(grid), 0, sde=sde, denoise=denoise).x))(
        keys, x
    )
    variances = np.diag(exact.covariance)
    error = np.sqrt((variances[:, None] * variances + exact.covariance**2) / n)  # of a sample covariance
    np.testing.assert_array_less(np.abs(np.mean(x, 0) - exact.mean), 4 * np.sqrt(variances / n))
    np.testing.assert_array_less(np.abs(np.cov(x.T) - exact.covariance), 4 * error)
