"""What sampling costs beside the denoiser calls that it makes, as ratios from one run.

    python tests/benchmarks/samplers.py [--network mlp|ncsnpp] [--batch 1024] [--width 512] [--depth 4]
                                        [--evaluations 10] [--rounds 5] [--only NAME]

For every sampler, compiled and warm: the time of `sde_jax.sample` over (evaluations x the time of one call of the
jitted denoiser on the same batch, called in a loop and waited for). Numerator and denominator are measured in turns,
`--rounds` times, and the median of the rounds' ratios is printed, of wall time and of the process's CPU time: on a
machine that is shared the second is the steadier.

Samplers on a fixed grid call the denoiser at one time for the whole batch, and so does their denominator; adaptive ones
at a time for each sample, and so does theirs. There a batch takes as many evaluations as its slowest sample, which are
the ones counted. The last line is the time an evaluation of `log_likelihood` (one probe) over that of the adaptive ODE.
Targets: 1.05 on a fixed grid, 1.2 adaptive, 1.6 for the likelihood.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

import sde_jax as sj
from sde_jax.sampling import BatchLangevin, DDPMAncestral, Heun, Identity, SMLDAncestral

VP, VE, TOLERANCE = sj.VP(), sj.VE(), sj.Tolerance(1e-3, 1e-3)
FIXED = [
    (VP, sj.EulerMaruyama(), 1),
    (VP, Heun(), 2),
    (VP, sj.ReverseDiffusion(), 1),
    (VP, DDPMAncestral(), 1),
    (VE, SMLDAncestral(), 1),
    (VP, sj.PredictorCorrector(), 2),
    (VP, sj.PredictorCorrector(corrector=BatchLangevin()), 2),
    (VP, sj.PredictorCorrector(Identity(), sj.Langevin(steps=2), corrector_first=False), 2),
    (VP, sj.DDIM(), 1),
    (VP, sj.Ancestral(), 1),
    (VP, sj.MultistepConsistency(), 1),
    (VP, sj.DPMSolverMultistep(order=2), 1),
    (VP, sj.DPMSolverMultistep(order=3), 1),
    (VP, sj.DPMSolverMultistep(order=2, churn=1.0), 1),
    (VP, sj.DPMSolverSinglestep(order=2), 2),
    (VP, sj.DPMSolverSinglestep(order=3), 3),
    (VP, sj.UniPC(order=2), 1),
    (VP, sj.UniPC(order=3), 1),
    (VP, sj.SASolver(), 1),
    (VP, sj.DEIS(order=3), 1),
    (VP, sj.IPNDM(), 1),
    (VP, sj.EDMHeun(), 2),
    (VP, sj.EDMHeun(churn=4.0), 2),
    (VP, sj.Restart(low=0.3, high=0.5, rounds=1, steps=2), 2),
]
"""Path, sampler, evaluations a step."""
ADAPTIVE = [(VP, sj.ProbabilityFlow(TOLERANCE)), (VP, sj.ReverseSDE(tolerance=sj.Tolerance(0.1, 0.1)))]


class Ratios(NamedTuple):
    """Of wall time and of CPU time, medians."""

    wall: float
    cpu: float


def main() -> None:
    """Measure and print."""
    flags = arguments()
    shape, network = (8, 8, 1), sj.MLP(flags.width, flags.depth)
    if flags.network == "ncsnpp":
        shape, network = (16, 16, 3), sj.NCSNpp(32, (1, 2), 1, (8,))
    apply, params = sj.nn.initialized(network, shape, 0)
    # A fresh network ends with zeros: let every product have something to multiply.
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(1), len(leaves))
    params = tree.unflatten([p + 0.02 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)])
    keys = jax.random.split(jax.random.key(0), flags.batch)
    x = jax.vmap(lambda key: VP.prior_sample(key, shape))(keys)

    def denoise(params: Any, sde: sj.GaussianPath) -> Callable:
        return sj.denoiser(lambda x, noise: apply(params, x, noise), sde, sj.EDM())

    @cache
    def calls(sde: sj.GaussianPath, own_times: bool) -> Callable:
        lifted = jax.jit(lambda p, x, t: jax.vmap(denoise(p, sde), (0, 0 if own_times else None))(x, t))
        t = jnp.linspace(0.4, 0.6, flags.batch) if own_times else jnp.asarray(0.5)

        def loop(n: int) -> None:
            for _ in range(n):
                jax.block_until_ready(lifted(params, x, t))

        loop(1)
        return loop

    loop = calls(VP, False)
    began = time.perf_counter()
    loop(10)
    print(machine(), f"{flags.network}, batch {flags.batch} of {shape}", sep="\n", flush=True)
    print(f"one call {100 * (time.perf_counter() - began):.1f} ms; medians of {flags.rounds} rounds\n")
    print(f"{'sampler':<72} {'calls':>5} {'wall':>6} {'CPU':>6}")

    def measure(name: str, sde: sj.GaussianPath, run: Callable, own_times: bool = False) -> tuple[Ratios, int]:
        evaluations = int(jnp.max(jax.block_until_ready(run(params, keys)).evaluations))
        loop = calls(sde, own_times)
        ratios = in_turns(
            lambda: jax.block_until_ready(run(params, keys)), lambda: loop(evaluations), rounds=flags.rounds
        )
        print(f"{name:<72} {evaluations:>5} {ratios.wall:>6.2f} {ratios.cpu:>6.2f}", flush=True)
        return ratios, evaluations

    def sampler(sde: sj.GaussianPath, solver: Any, steps: int) -> Callable:
        grid = sj.grids.uniform(steps, end=0.01)
        return jax.jit(lambda p, keys: sj.sample(keys, solver, sde, denoise(p, sde), grid, shape))

    for sde, solver, each in FIXED:
        if flags.only in str(solver):
            measure(brief(solver), sde, sampler(sde, solver, max(4, flags.evaluations // each)))
    for sde, solver in ADAPTIVE:
        if flags.only in str(solver):
            measure(brief(solver), sde, sampler(sde, solver, 1), own_times=True)
    if flags.only in "log_likelihood":
        score = jax.jit(
            lambda p, keys: jax.vmap(
                lambda key, x: sj.log_likelihood(key, VP, denoise(p, VP), 0.3 * x, tolerance=TOLERANCE)
            )(keys, x)
        )
        ode = sampler(*ADAPTIVE[0], 1)
        measure("log_likelihood(divergence=Hutchinson())", VP, score, own_times=True)
        made = [int(jnp.max(run(params, keys).evaluations)) for run in (score, ode)]
        against = in_turns(
            *(lambda run=run: jax.block_until_ready(run(params, keys)) for run in (score, ode)), rounds=flags.rounds
        )
        wall, cpu = (ratio * made[1] / made[0] for ratio in against)
        print(f"{'log_likelihood an evaluation / ProbabilityFlow an evaluation':<72} {'':>5} {wall:>6.2f} {cpu:>6.2f}")


def arguments() -> argparse.Namespace:
    """Return the flags."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--network", choices=("mlp", "ncsnpp"), default="mlp")
    parser.add_argument("--only", default="", help="measure samplers whose name holds this")
    for name, default in (("batch", 1024), ("width", 512), ("depth", 4), ("evaluations", 10), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    return parser.parse_args()


def in_turns(above: Callable[[], Any], below: Callable[[], Any], rounds: int) -> Ratios:
    """Return the median over `rounds` of the time of `above` over that of `below`, measured one after the other."""
    wall, cpu = [], []
    for _ in range(rounds):
        (w1, c1), (w2, c2) = map(timed, (above, below))
        wall.append(w1 / w2)
        cpu.append(c1 / c2)
    return Ratios(statistics.median(wall), statistics.median(cpu))


def timed(run: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds of wall and of CPU time, of all threads, that `run` takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - cpu


def brief(solver: Any) -> str:
    """Return the sampler's fields that are not their defaults, within one line."""
    default, named = type(solver)(), []
    for field in solver.__dataclass_fields__:
        value = getattr(solver, field)
        if value != getattr(default, field):
            named.append(f"{field}={brief(value) if hasattr(value, '__dataclass_fields__') else value}")
    return f"{type(solver).__name__}({', '.join(named)})"


def machine() -> str:
    """Return what this was measured on."""
    return f"{jax.devices()[0].device_kind}, {os.cpu_count()} cores, {platform.machine()}, jax {jax.__version__}"


if __name__ == "__main__":
    main()
