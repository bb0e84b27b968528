"""Likelihoods beside closed forms."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.certificate.finding import Law
from sde_jax.certificate.parts import COMBINED, PATHS
from sde_jax.likelihood import Divergence, Exact, Hutchinson, HutchPP, XTrace, log_likelihood
from sde_jax.ode import Tolerance
from sde_jax.prediction.exact import MixtureDenoiser
from sde_jax.sde import GaussianPath
from sde_jax.testing import GAUSSIAN, MIXTURE, Target, bound_excess
from sde_jax.typing import Array

START, NUMBERS, EXAMPLES = 1e-3, 6, 16
TARGETS = {"Gaussian": GAUSSIAN, "mixture": MIXTURE}
ESTIMATORS: dict[str, Divergence] = {"Hutchinson": Hutchinson(16), "Hutch++": HutchPP(3), "XTrace": XTrace(4)}
SIGMAS = 4.0
"""How many standard errors of the mean over the examples an unbiased estimate may be off."""


def likelihoods() -> Iterator[Law]:
    """Yield the error of the exact trace in float32, and the bias of every estimate in units of its standard error."""
    for on, sde in PATHS.items():
        for part, target in TARGETS.items():
            yield Law("likelihood in float32, bits/dim", part, on, partial(_exact, target, sde), 1e-4)
        for part, estimator in ESTIMATORS.items():
            law = "bias of a trace estimate, standard errors"
            yield Law(law, part, on, partial(_estimate, estimator, sde), SIGMAS)
    for on, sde in (PATHS | COMBINED).items():
        yield Law("bound above the log-likelihood, standard errors", "ELBO", on, partial(bound_excess, sde), SIGMAS)


def _larger(target: Target) -> Target:
    """Return the target in six dimensions."""
    weights, means, variances = target
    return Target(weights, np.tile(means, NUMBERS // 2), np.tile(variances, NUMBERS // 2))


def _data(target: Target) -> np.ndarray:
    random = np.random.default_rng(0)
    k = random.choice(len(target.weights), EXAMPLES, p=target.weights)
    return target.means[k] + np.sqrt(target.variances[k]) * random.normal(size=(EXAMPLES, NUMBERS))


def _nats(sde: GaussianPath, oracle: MixtureDenoiser, latent: Array, x: Array) -> Array:
    """Return the model's log-density: the exact flow carries p_start to p_1, but the model starts from its prior."""
    return oracle.log_prob(x, START) + sde.prior_log_prob(latent) - oracle.log_prob(latent, 1.0)


def _exact(small: Target, sde: GaussianPath) -> float:
    target = _larger(small)
    x = _data(target)

    def flow(tolerance: float) -> tuple[Array, Array]:
        def one(x: Array) -> tuple[Array, Array]:
            result = log_likelihood(
                jax.random.key(0),
                sde,
                MixtureDenoiser(sde, *map(jnp.asarray, target)),
                x,
                divergence=Exact(),
                tolerance=Tolerance(tolerance, tolerance),
                start=START,
            )
            return result.value, result.latent

        return jax.jit(jax.vmap(one))(jnp.asarray(x))

    with jax.enable_x64(False):
        ours = np.asarray(flow(1e-5)[0], float)
    with jax.enable_x64(True):
        _, latent = flow(1e-9)
        exact = np.asarray(jax.vmap(partial(_nats, sde, MixtureDenoiser(sde, *target)))(latent, jnp.asarray(x)))
    error = np.abs(ours - exact).max() / (NUMBERS * np.log(2))
    return float(error)


def _estimate(estimator: Divergence, sde: GaussianPath) -> float:
    """Return the mean error of the estimates in units of its own spread, over keys and examples."""
    with jax.enable_x64(True):
        target = _larger(MIXTURE)
        oracle, x = MixtureDenoiser(sde, *target), jnp.asarray(_data(target))

        def one(key: Array, x: Array) -> Array:
            arguments = (key, sde, oracle, x)
            result = log_likelihood(*arguments, divergence=estimator, tolerance=Tolerance(1e-5, 1e-5), start=START)
            return result.value - _nats(sde, oracle, result.latent, x)

        keys = jax.random.split(jax.random.key(0), 8 * EXAMPLES)
        errors = np.asarray(jax.jit(jax.vmap(one))(keys, jnp.tile(x, (8, 1))))
    return float(abs(errors.mean()) / errors.std() * np.sqrt(len(errors)))
