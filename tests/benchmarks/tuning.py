"""How near samplers of few evaluations come to a model's own fine solution: published ways of tuning, side by side.

    python tests/benchmarks/tuning.py [--problems VP:2 VP:8 EDMPath:8 RectifiedFlow:8] [--run WORKDIR]
                                      [--nfe 5 8 10] [--draws 256]

Problems are mixtures in two and eight dimensions with exact denoisers and, with --run, a trained run's newest model.
A number is the root mean squared distance from the fine solution at t = 1e-3 over held-out prior draws, as a share of
the best published formula's on its best grid: DPM-Solver++, UniPC, DEIS, iPNDM and Heun's method, each on Uniform,
Quadratic, LogSNR and Karras. All ways see the same draws (--draws fitted, half as many that choose, the rest tests):

 - AYS: the grid that minimises the bound of Align Your Steps (Sabour et al. 2024), by dynamic programming. Along the
   process E|D_s - D_t|^2 = g_s - g_t, g = E|D|^2, as D is a martingale, so that a step costs int (g - g_start) 2 e^(2
   lambda) d lambda.
 - GITS: the grid of least truncation error (Chen et al. 2024): dynamic programming over the fine trajectory, a step
   costs the distance of DDIM's step along it from it. Both with the best formula there, chosen by the watching draws.
 - grid: the grid of the best formula, by least squares through the sampler (LD3, Tong et al. 2025).
 - stages: the weights on the best grid, row after row by linear least squares to the fine trajectory.
 - weights: the weights on the best grid, through the sampler (S4S, Frankel et al. 2025).
 - all: grid, told times and weights together: `sde_jax.tuning.tune`.

Targets of the last: 0.6 at 5 evaluations, 0.7 at 8, 0.85 at 10. Its standard error is over the tested draws; `fit` is
its error on the fitted draws as a share of that on the tested ones: how far it learned the draws by heart. CPU: s.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import sde_jax as sj
from sde_jax.commands.workdir import Workdir, load
from sde_jax.sampling import Heun
from sde_jax.tuning import Bench, Effort
from sde_jax.tuning.draws import Draws, arrival, root_mean, squared_distances
from sde_jax.tuning.family import Family
from sde_jax.tuning.least_squares import Loss
from sde_jax.tuning.starts import SPACINGS, Start, formulas, starts, tuned, written_out

TARGETS = {5: 0.6, 8: 0.7, 10: 0.85}
END, POINTS = 1e-3, 60


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", nargs="*", default=["VP:2", "VP:8", "EDMPath:8", "RectifiedFlow:8"])
    parser.add_argument("--run", type=Path, help="a trained run's directory")
    parser.add_argument("--nfe", nargs="+", type=int, default=[5, 8, 10])
    parser.add_argument("--draws", type=int, default=256)
    flags = parser.parse_args()
    effort = Effort(flags.draws, flags.draws // 2, 2 * flags.draws)
    names = ("AYS", "GITS", "grid", "stages", "weights", "all")
    print(f"{'problem':<16} {'n':>3} {'published':>10}  " + "".join(f"{name:>8}" for name in names) + "  error target")
    for name, (sde, of, shape) in problems(flags.problems, flags.run):
        bench = Bench.of(jax.random.key(0), (), sde, of, shape, END, effort)
        for steps in flags.nfe:
            row(name, bench, steps)


def problems(names: list[str], run: Path | None) -> Iterator[tuple[str, tuple[Any, Any, Any]]]:
    """Yield name, and path, function of what is given to a denoiser, shape."""
    if run is not None:
        model = load(Workdir(run))
        of = jax.tree_util.Partial(lambda params, _: model.denoiser(params), model.params)
        yield str(run.name), (model.sde, of, model.record.shape)
    for name in names:
        path, size = name.split(":")
        sde = getattr(sj, path)()
        yield name, (sde, jax.tree_util.Partial(partial(_mixture, sde, int(size))), (int(size),))


def _mixture(sde: Any, size: int, given: Any) -> sj.exact.MixtureDenoiser:
    rng = np.random.default_rng(8)
    count = 2 if size == 2 else 6
    means, spread = 0.7 * rng.normal(size=(count, size)), 0.05 * np.exp(0.5 * rng.normal(size=(count, size)))
    return sj.exact.MixtureDenoiser(sde, np.ones(count), means, spread)


def row(name: str, bench: Bench, steps: int) -> None:
    """Measure the ways for one number of evaluations; print a line."""
    there = [*starts(bench.sde, steps, END)]
    best = chosen(bench, there)
    found = bench.tuning(steps)
    published = min(found.published, *heun(bench, steps))
    began = time.process_time()
    ways: list[Callable[[], sj.sampling.Tuned]] = [
        lambda: chosen(bench, on_grid(bench, ays(bench, steps))).solver,
        lambda: chosen(bench, on_grid(bench, gits(bench, steps))).solver,
        lambda: grid_alone(bench, best),
        lambda: stages(bench, best.solver),
        lambda: weights_alone(bench, best.solver),
        lambda: found.solver,
    ]
    shares = [root_mean(bench.squares(way(), bench.tested)) / published for way in ways]
    note = f"± {found.standard_error:.3f} {TARGETS.get(steps, float('nan')):>5}"
    print(f"{name:<16} {steps:>3} {published:>10.4g}  " + "".join(f"{share:>8.3f}" for share in shares), note)
    print(
        f"{'':<20} {found.best}; fit {found.fitted / found.tested:.2f}, {found.rounds} rounds, reference "
        f"{found.reference:.2g}, CPU of the others {time.process_time() - began:.0f}",
        flush=True,
    )


def chosen(bench: Bench, there: list[Start]) -> Start:
    """Return the nearest by the draws that choose."""
    return min(there, key=lambda start: np.nan_to_num(np.mean(bench.squares(start.solver, bench.watched)), nan=np.inf))


def heun(bench: Bench, steps: int) -> Iterator[float]:
    """Yield the errors of Heun's methods, two evaluations a step."""
    for solver in (Heun(), sj.EDMHeun()):
        for spacing in SPACINGS.values():
            try:
                grid = jnp.asarray(spacing.times(bench.sde, max(steps // 2, 1), END))
                solver.check(bench.sde, grid)
            except sj.InputError:
                continue
            one = lambda y, given, s=solver, g=grid: arrival(s, bench.sde, bench.denoiser_of(given), y, g)  # noqa: E731
            ends = jax.jit(jax.vmap(one))(bench.tested.start, bench.tested.given)
            yield np.nan_to_num(root_mean(squared_distances(ends, bench.tested.end)), nan=np.inf)


def on_grid(bench: Bench, times: np.ndarray) -> list[Start]:
    """Return every formula on a grid."""
    made = []
    for name, solver in formulas():
        try:
            weights = jax.jit(partial(written_out, solver, bench.sde))(jnp.asarray(times, float))
        except sj.InputError:
            continue
        made.append(Start(name, tuned(times, times[:-1], np.asarray(weights))))
    return made


def shortest(cost: np.ndarray, steps: int) -> list[int]:
    """Return the way of so many steps from the first to the last point of least total cost [from, to]."""
    count = len(cost)
    total, before = np.full((steps + 1, count), np.inf), np.zeros((steps + 1, count), int)
    total[0, 0] = 0
    for n in range(1, steps + 1):
        for there in range(n, count):
            options = total[n - 1, :there] + cost[:there, there]
            before[n, there] = int(np.argmin(options))
            total[n, there] = options[before[n, there]]
    way = [count - 1]
    for n in range(steps, 0, -1):
        way.append(int(before[n, way[-1]]))
    return way[::-1]


def candidates(bench: Bench) -> tuple[np.ndarray, np.ndarray]:
    """Return times in equal steps of log-SNR, and their log-SNR."""
    times = sj.grids.LogSNR().times(bench.sde, POINTS, END)
    return times, np.asarray(jax.vmap(bench.sde.log_snr)(jnp.asarray(times)))


def ays(bench: Bench, steps: int) -> np.ndarray:
    """Return the grid of least bound."""
    sde, (times, lam) = bench.sde, candidates(bench)

    @jax.jit
    def second_moment(t):
        x0, given = bench.fitted.end / sde.alpha(END), bench.fitted.given
        x = sde.alpha(t) * x0 + sde.sigma(t) * jax.random.normal(jax.random.key(1), x0.shape)
        values = jax.vmap(lambda x, given: bench.denoiser_of(given)(x, t))(x, given)
        return jnp.mean(jnp.sum(jnp.square(values).reshape(len(x), -1), 1))

    g = np.array([float(second_moment(t)) for t in times])
    lam = np.maximum(lam, lam[1] - 1) if np.isinf(lam[0]) else lam
    weight = np.append(np.diff(lam), 0.0) * 2 * np.exp(2 * lam)
    cost = np.full((POINTS + 1, POINTS + 1), np.inf)
    for i in range(POINTS):
        cost[i, i + 1 :] = np.cumsum(weight[i:-1] * np.abs(g[i:-1] - g[i]))
    return times[shortest(cost, steps)]


def gits(bench: Bench, steps: int) -> np.ndarray:
    """Return the grid of least truncation error of DDIM's steps."""
    sde, (times, _) = bench.sde, candidates(bench)
    x, values = trajectory(bench, times)
    alpha, sigma = (np.asarray(jax.vmap(f)(jnp.asarray(times))) for f in (sde.alpha, sde.sigma))
    cost = np.full((POINTS + 1, POINTS + 1), np.inf)
    for i in range(POINTS):
        for j in range(i + 1, POINTS + 1):
            keep = sigma[j] / sigma[i]
            off = keep * x[:, i] + (alpha[j] - keep * alpha[i]) * values[:, i] - x[:, j]
            cost[i, j] = np.sqrt(np.mean(np.sum(off**2, -1)))
    return times[shortest(cost, steps)]


def trajectory(bench: Bench, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and D along the fine solution of 128 draws at falling times, [draws, times, numbers]."""
    sde, few = bench.sde, bench.fitted.part(0, 128)
    finer = np.unique(np.concatenate([times, sj.grids.LogSNR().times(sde, 100, END)]).astype(np.float32))[::-1]
    kept = np.searchsorted(-finer, -times.astype(np.float32))

    @jax.jit
    @jax.vmap
    def one(y, given):
        denoise = bench.denoiser_of(given)
        solver, grid = sj.DPMSolverMultistep(3, starter=False), jnp.asarray(finer)
        x = solver.solve(jax.random.key(0), y, grid, len(finer), sde=sde, denoise=denoise).trajectory[kept]
        return x, jax.vmap(denoise)(x, jnp.asarray(times, x.dtype))

    x, values = (np.asarray(a, float).reshape(len(a), len(times), -1) for a in one(few.start, few.given))
    return x, values


def grid_alone(bench: Bench, start: Start) -> sj.sampling.Tuned:
    """Return the formula of a start on the best grid that least squares find."""
    formula = dict(formulas())[start.name.rpartition(", ")[0]]
    family, steps = Family.of(bench.sde, start.solver, 1), len(start.solver.told)

    def member(a):
        times: Any = family.member(jnp.zeros(family.size).at[: steps - 1].set(a)).times
        return times, written_out(formula, bench.sde, times)

    def residuals(a, denoiser_of, draws):
        times, weights = member(a)
        rows: Any = tuple(weights[n, : n + 1] for n in range(steps))
        solver = sj.sampling.Tuned(times, times[:-1], rows)
        return missed(bench, solver, denoiser_of, draws)

    a = _minimised(bench, residuals, steps - 1)
    times, weights = member(a)
    return tuned(times, times[:-1], weights)


def weights_alone(bench: Bench, solver: sj.sampling.Tuned) -> sj.sampling.Tuned:
    """Return a start with the best weights that least squares find."""
    steps = len(solver.told)
    family = Family.of(bench.sde, solver, steps)
    whole = lambda v: jnp.concatenate([jnp.zeros(2 * (steps - 1)), v])  # noqa: E731

    def residuals(v, denoiser_of, draws):
        member = family.member(whole(v))
        return missed(bench, member, denoiser_of, draws)

    member = family.member(whole(_minimised(bench, residuals, family.size - 2 * (steps - 1))))
    rows = np.stack([np.pad(np.asarray(row), (0, steps - len(row))) for row in member.weights])
    return tuned(member.times, member.told, rows)


def missed(bench: Bench, solver: sj.sampling.Tuned, denoiser_of: Any, draws: Draws) -> jax.Array:
    """Return how far from the fine solution a solver carries draws."""
    times = jnp.asarray(solver.times)
    return jax.vmap(lambda d: arrival(solver, bench.sde, denoiser_of(d.given), d.start, times) - d.end)(draws)


def _minimised(bench: Bench, residuals: Callable, size: int) -> jax.Array:
    batch, loss = bench.effort.batch_size, Loss(residuals, bench.denoiser_of)
    watching = bench.watched.batches(batch)
    fit = loss.minimised(np.zeros(size), bench.fitted.batches(batch), watching, bench.effort.rounds)
    return jnp.asarray(fit.q, float)


def stages(bench: Bench, solver: sj.sampling.Tuned) -> sj.sampling.Tuned:
    """Return a start with each row of weights by linear least squares to the fine trajectory, from its own values."""
    sde, times = bench.sde, np.asarray(solver.times)
    fine, _ = trajectory(bench, times)
    alpha, sigma = (np.asarray(jax.vmap(f)(jnp.asarray(times))) for f in (sde.alpha, sde.sigma))
    few = bench.fitted.part(0, 128)
    call = jax.jit(jax.vmap(lambda x, given, t: bench.denoiser_of(given)(x, t), (0, 0, None)))
    x, values, rows = np.asarray(few.start, float), [], np.zeros((len(times) - 1,) * 2)
    for n in range(len(times) - 1):
        values.append(np.asarray(call(jnp.asarray(x, float), few.given, times[n])))
        keep, columns = sigma[n + 1] / sigma[n], np.stack([v.reshape(-1) for v in values], -1) * alpha[n + 1]
        wanted = fine[:, n + 1].reshape(-1) - keep * x.reshape(-1)
        ridge = 1e-3 * np.sqrt(np.mean(columns**2) * len(columns)) * np.eye(n + 1)
        prior = np.asarray(solver.weights[n])
        moved = np.linalg.lstsq(np.vstack([columns, ridge]), np.append(wanted, ridge @ prior))[0]
        rows[n, : n + 1] = moved
        x = keep * x + (columns @ moved).reshape(x.shape)
    return tuned(times, np.asarray(solver.told), rows)


if __name__ == "__main__":
    main()
