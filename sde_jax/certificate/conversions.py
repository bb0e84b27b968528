"""Every translation and back."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.certificate.finding import Law
from sde_jax.certificate.parts import PATHS
from sde_jax.ode import Tolerance
from sde_jax.prediction import (
    EDM,
    X0,
    Epsilon,
    Parameterization,
    ScoreFunction,
    V,
    Velocity,
    at_equal_log_snr,
    denoiser,
    denoiser_of,
    score_of,
)
from sde_jax.prediction.exact import MixtureDenoiser
from sde_jax.sampling import decode, encode
from sde_jax.sde import VP, GaussianPath
from sde_jax.testing import MIXTURE
from sde_jax.typing import Array, Denoiser, Time

TIMES = np.linspace(0.05, 0.95, 19)
PARAMETERIZATIONS: dict[str, Parameterization] = {
    "epsilon": Epsilon(),
    "x0": X0(),
    "v": V(),
    "velocity": Velocity(),
    "score": ScoreFunction(),
    "EDM": EDM(),
}


def conversions() -> Iterator[Law]:
    """Yield the largest error of every round trip, in float64 and for data of unit scale."""
    law = "round trip"
    for on, sde in PATHS.items():
        for part, parameterization in PARAMETERIZATIONS.items():
            yield Law(law, part, on, partial(_network, parameterization, sde), 1e-10)
        yield Law(law, "denoiser, score", on, partial(_score, sde), 1e-8)
        yield Law(law, "VP at equal log-SNR", on, partial(_resampled, sde), 1e-8)
        yield Law(law, "encode, decode", on, partial(_coded, sde), 1e-6)


def _difference(sde: GaussianPath, ours: Denoiser, theirs: Denoiser, times: np.ndarray = TIMES) -> float:
    """Return the largest difference of two denoisers over times and x drawn at them, for data of unit scale."""

    def at(t: Time, z: Array) -> Array:
        x = sde.offset(t) + jnp.hypot(sde.alpha(t), sde.sigma(t)) * z
        return jnp.abs(ours(x, t) - theirs(x, t))

    z = jax.random.normal(jax.random.key(0), (len(times), 2))
    return float(jax.jit(jax.vmap(at))(jnp.asarray(times), z).max())


def _network(parameterization: Parameterization, sde: GaussianPath) -> float:
    """What the network would have to say for the exact denoiser, made a denoiser again."""
    with jax.enable_x64(True):
        exact = MixtureDenoiser(sde, *MIXTURE)

        def again(x: Array, t: Time) -> Array:
            c = parameterization.coefficients(sde, t)
            output = (exact(x, t) - c.skip * (x - sde.offset(t))) / c.out
            return denoiser(lambda *_: output, sde, parameterization)(x, t)

        return _difference(sde, again, exact)


def _score(sde: GaussianPath) -> float:
    with jax.enable_x64(True):
        exact = MixtureDenoiser(sde, *MIXTURE)
        gradient = denoiser_of(jax.grad(exact.log_prob), sde)
        error = _difference(sde, denoiser_of(score_of(exact, sde), sde), exact)
        return float(np.maximum(error, _difference(sde, gradient, exact)))  # max() would pass over NaN


def _resampled(sde: GaussianPath) -> float:
    """On VP, at the times whose noise the other path knows: VE ends at sigma = 50, VP at sigma / alpha = 152."""
    with jax.enable_x64(True):
        there = at_equal_log_snr(MixtureDenoiser(sde, *MIXTURE), sde, VP())
        return _difference(VP(), there, MixtureDenoiser(VP(), *MIXTURE), TIMES[TIMES < 0.85])


def _coded(sde: GaussianPath) -> float:
    with jax.enable_x64(True):
        exact, tight = MixtureDenoiser(sde, *MIXTURE), Tolerance(1e-9, 1e-9, 100_000)
        x = jax.random.normal(jax.random.key(0), (8, 2))

        def trip(x: Array) -> Array:
            latent = encode(sde, exact, x, tolerance=tight, start=1e-3).x
            return decode(sde, exact, latent, tolerance=tight, start=1e-3).x

        return float(jnp.abs(jax.jit(jax.vmap(trip))(x) - x).max())
