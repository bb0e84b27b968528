"""The law of samples of a posterior of Gaussian data, where a sampler makes affine steps: no sampling error."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import sde_jax as sj
from sde_jax.guidance import posterior
from sde_jax.measurement import Identity, Independent, Measurement
from sde_jax.prediction import exact

SDE, SIZE, NOISE = sj.VP(), 6, 0.1
ROOT = np.random.default_rng(11).normal(size=(SIZE, SIZE))
COVARIANCE = ROOT @ ROOT.T / SIZE + 0.05 * np.eye(SIZE)
"""Of the data: eigenvalues from 0.06 to 2.6."""
SEEN = np.array([True, False, True, False, True, False])
Y = np.array([1.0, np.nan, -0.5, np.nan, 0.3, np.nan])
GAIN = COVARIANCE[:, SEEN] @ np.linalg.inv(COVARIANCE[np.ix_(SEEN, SEEN)] + NOISE**2 * np.eye(3))
MEAN, POSTERIOR = GAIN @ Y[SEEN], COVARIANCE - GAIN @ COVARIANCE[SEEN]


def measured() -> Measurement:
    """Three of the six numbers, each with noise."""
    return Measurement(Identity(), jnp.asarray(Y), Independent(NOISE))


class Law(NamedTuple):
    """Beside the exact posterior: `away`, the means' distance in its deviations, and the ratios of deviations."""

    away: float
    ratios: np.ndarray

    def __str__(self):
        """Return a row of the table in docs/conditional.md."""
        return f"{self.away:.2f} | {self.ratios.min():.2g} to {self.ratios.max():.2g}"


def law(method, solver, steps: int) -> Law:
    """Compare what a method by a solver converges to; without a method the solver knows what was measured."""
    prior = exact.GaussianDenoiser(SDE, np.zeros(SIZE), COVARIANCE)
    denoise = prior if method is None else posterior(prior, SDE, measured(), method, (SIZE,))
    mean, covariance = moments(solver, denoise, sj.grids.LogSNR().times(SDE, steps, 1e-3))
    deviation = np.sqrt(np.diag(POSTERIOR))
    return Law(float(np.abs((mean - MEAN) / deviation).max()), np.sqrt(np.diag(covariance)) / deviation)


def moments(solver, denoise, grid, covariance=COVARIANCE):
    """Carry mean and covariance of N(0, covariance) at grid[0] down the grid, by a solver without memory."""
    keys = jax.random.split(jax.random.key(0), SIZE)
    points = jnp.concatenate([jnp.zeros((1, SIZE)), jnp.eye(SIZE)])

    def step(carry, times):
        mean, covariance = carry
        go = lambda key, x: solver.step(key, x, *times, (), sde=SDE, denoise=denoise)[0]  # noqa: E731
        ends = jax.vmap(go, (None, 0))(keys[0], points).mean
        matrix = (ends[1:] - ends[0]).T
        moved = jax.vmap(go, (0, None))(keys, points[0])
        # x - its mean is B z, for as many z as there are numbers.
        z = jax.vmap(lambda key: SDE.noise(key, (SIZE,)))(keys)
        b = jnp.linalg.solve(z, moved.x - moved.mean).T
        covariance = matrix @ covariance @ matrix.T
        return (matrix @ mean + ends[0], covariance + b @ b.T), covariance

    start = jnp.zeros(SIZE), float(SDE.alpha(grid[0])) ** 2 * covariance + float(SDE.variance(grid[0])) * np.eye(SIZE)
    (mean, _), covariances = jax.jit(lambda: jax.lax.scan(step, start, (grid[:-1], grid[1:])))()
    return np.asarray(mean), np.asarray(covariances[-1])  # without the last step's noise, as samplers do
