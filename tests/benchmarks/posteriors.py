"""What a posterior sample costs by every method, at equal quality.

    python tests/benchmarks/posteriors.py [--numbers 16] [--samples 2000] [--error 0.1] [--most 256] [--width 512]

Gaussian data with correlated numbers, of which the means of pairs are measured: the posterior is known. The
quality of a method in n steps is the distance of its samples' mean and covariance from the exact ones, in standard
deviations of the posterior: sqrt(d^2 / numbers), d^2 the squared 2-Wasserstein distance of the two Gaussians after
whitening by the exact one; what is seen of exact samples of the same number is taken off. Steps are doubled until it is
below `--error`, and "never" is printed where `--most` steps do not do. Then a sample is timed with a network of such a
width in the place of the closed form: seconds, the denoiser's forward and backward calls a sample, counted where they
are made, and what the same sampler takes without a measurement. What is timed is the compiled program given another
measurement, which it would refuse if anything had to be compiled for it.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import sde_jax as sj
from sde_jax.ensembles import draw
from sde_jax.guidance import DPS, DataAssimilation, DiffPIR, MomentMatching, PiGDM
from sde_jax.measurement import Independent, Matrix, Measurement
from sde_jax.prediction.exact import GaussianDenoiser
from sde_jax.sampling import DPMSolverMultistep, LogSNR

SDE, SOLVER, NOISE = sj.VP(), DPMSolverMultistep(order=2, churn=1.0), 0.2
METHODS = [MomentMatching(), MomentMatching(iterations=20), PiGDM(), DataAssimilation(), DataAssimilation(1.0)]
METHODS += [DiffPIR(), DPS(0.3), DPS()]


def main() -> None:
    """Measure and print."""
    flags = arguments()
    n, covariance = flags.numbers, covariance_of(flags.numbers)
    pool = np.repeat(np.eye(n // 2), 2, axis=1) / 2
    y = pool @ np.linalg.cholesky(covariance) @ np.random.default_rng(0).normal(size=n)
    gain = covariance @ pool.T @ np.linalg.inv(pool @ covariance @ pool.T + NOISE**2 * np.eye(n // 2))
    exact = gain @ y, covariance - gain @ pool @ covariance
    keys = jax.random.split(jax.random.key(0), flags.samples)
    floor = distance(np.random.default_rng(1).multivariate_normal(*exact, flags.samples), *exact)
    given, denoise = measurements(pool, y, flags.samples), network(n, flags.width)
    few = min(64, flags.samples)
    first = [jax.tree.map(lambda a, count=count: a[:count], given) for count in (1, few)]
    print(f"{jax.devices()[0].device_kind}, jax {jax.__version__}; {n} numbers, {flags.samples} samples")
    print(f"distance below {flags.error}, exact samples' {floor:.3f} taken off; network {flags.width} wide\n")
    print(f"{'method':<72} {'steps':>5} {'dist.':>6} {'calls':>5} {'back':>5} {'ms':>7} {'/ prior':>7}")
    for method in METHODS:
        steps, found = enough(method, keys, given, exact, floor, flags)
        made = calls(method, first[0], n, steps)
        seconds = timed(method, denoise, keys[:few], first[1], n, steps)
        plain = timed(None, denoise, keys[:few], first[1], n, steps)
        cost = f"{made[0]:>5} {made[1]:>5} {1e3 * seconds / few:>7.3f} {seconds / plain:>7.1f}"
        shown = f"{steps:>5}" if found < flags.error else "never"
        print(f"{method!s:<72} {shown} {found:>6.3f} {cost}", flush=True)


def measurements(pool: np.ndarray, y: np.ndarray, count: int) -> Measurement:
    """Return the measurement y, `count` times."""
    repeat = lambda a: jnp.broadcast_to(jnp.asarray(a), (count, *np.shape(a)))  # noqa: E731
    return Measurement(Matrix(repeat(pool)), repeat(y), Independent(repeat(np.asarray(NOISE))))


def distance(x: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> float:
    """Return the distance of samples [m, n] from a Gaussian, in its standard deviations a number."""
    white = np.linalg.solve(np.linalg.cholesky(covariance), (np.asarray(x) - mean).T)
    deviations = np.sqrt(np.clip(np.linalg.eigvalsh(np.cov(white)), 0, None))
    return float(np.sqrt((np.sum(white.mean(1) ** 2) + np.sum((deviations - 1) ** 2)) / len(mean)))


def enough(method: Any, keys: Any, given: Measurement, exact: Any, floor: float, flags: Any) -> tuple[int, float]:
    """Return the first number of steps whose distance is small enough, or the most there are, and the distance."""
    steps, denoise = 8, prior(flags.numbers)
    while True:
        x = program(method, denoise, flags.numbers, steps)(keys, given)
        found = np.sqrt(max(distance(np.asarray(x), *exact) ** 2 - floor**2, 0))
        if found < flags.error or 2 * steps > flags.most:
            return steps, float(found)
        steps *= 2


def prior(n: int) -> GaussianDenoiser:
    """Return the denoiser of the data."""
    return GaussianDenoiser(SDE, np.zeros(n), covariance_of(n))


def covariance_of(n: int) -> np.ndarray:
    """Return the data's, which falls off over four neighbours."""
    return np.exp(-np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / 4)


def program(method: Any, denoise: Callable, n: int, steps: int) -> Callable:
    """Return the compiled (keys, measurements) -> samples; without a method those of the prior."""
    grid = LogSNR().times(SDE, steps)
    if method is None:
        return jax.jit(lambda keys, given: sj.sample(keys, SOLVER, SDE, denoise, grid, (n,)).x)
    return jax.jit(lambda keys, given: draw(keys, given, method, SOLVER, SDE, denoise, grid, (n,), 0).members)


def calls(method: Any, given: Measurement, n: int, steps: int) -> tuple[int, int]:
    """Return how often the denoiser is called for one sample, and how often it is gone through backwards."""
    made, denoise = {"forward": 0, "backward": 0}, prior(n)

    def count(name: str) -> None:
        made[name] += 1

    @jax.custom_vjp
    def counted(x: jax.Array, t: jax.Array) -> jax.Array:
        jax.debug.callback(lambda: count("forward"))
        return denoise(x, t)

    def forward(x: jax.Array, t: jax.Array) -> tuple[jax.Array, Any]:
        jax.debug.callback(lambda: count("forward"))
        return jax.vjp(denoise, x, t)

    def backward(pull: Any, cotangent: jax.Array) -> Any:
        jax.debug.callback(lambda: count("backward"))
        return pull(cotangent)

    counted.defvjp(forward, backward)
    jax.block_until_ready(program(method, counted, n, steps)(jax.random.split(jax.random.key(3), 1), given))
    jax.effects_barrier()
    return made["forward"], made["backward"]


def network(n: int, width: int) -> Callable:
    """Return a denoiser that takes time."""
    apply, params = sj.nn.initialized(sj.MLP(width, 4), (n,), 0)
    return sj.denoiser(lambda x, noise: apply(params, x, noise), SDE, sj.EDM())


def timed(method: Any, denoise: Callable, keys: Any, given: Measurement, n: int, steps: int) -> float:
    """Return the seconds that a compiled program takes for another measurement."""
    run = program(method, denoise, n, steps).lower(keys, given).compile()
    jax.block_until_ready(run(keys, given))
    other = jax.tree.map(lambda a: 1.1 * a, given)
    began = time.perf_counter()
    jax.block_until_ready(run(keys, other))
    return time.perf_counter() - began


def arguments() -> argparse.Namespace:
    """Return the flags."""
    parser = argparse.ArgumentParser()
    for name, default in (("numbers", 16), ("samples", 2000), ("most", 256), ("width", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--error", type=float, default=0.1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
