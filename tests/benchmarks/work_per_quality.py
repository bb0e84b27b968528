"""How far samples are from the model's after 5, 10 and 20 denoiser calls: our samplers beside published formulas.

    python tests/benchmarks/work_per_quality.py [--samples 1000] [--budgets 5 10 20] [--paths VP EDMPath RectifiedFlow]

The model is a mixture of two Gaussians in two dimensions, whose denoiser is known, so that nothing but the sampler is
measured; in float64, from rho = sigma / alpha = 80 (or t = 1, if rho is finite there) to rho = 0.01. A budget is the
most evaluations that a run may take, a start's and a second stage's included: a method of two a step makes 2 of 5.

A number is a 2-Wasserstein distance between two sets of `--samples` points, (min over pairings of the mean squared
distance)^(1/2), the optimal pairing found exactly (scipy.optimize.linear_sum_assignment).
 - For deterministic samplers the other set is what the exact probability flow (Dopri8, tolerance 1e-9) makes of the
   SAME prior draws. Both sets are equal if the sampler is exact: no floor, and next to no noise, since the draws
   cancel. (It is at most the root mean squared distance of the coupled pairs, by which the grid is chosen.)
 - For samplers that draw noise there is no such pairing: the other set are exact draws of the marginal at the end, and
   what two independent exact sets are apart is printed as the floor. The grid is chosen by the same distance of the
   first 500.
Every sampler runs on every grid and the best is printed with it: U uniform in t, L in log-SNR, K Karras', Q quadratic.

Published formulas (*) are those of the papers or of their authors' code where it differs, with its lower-order start:
DDIM and EDM's Heun steps, which ours equal; DPM-Solver++(2M), whose psi_1 is psi_0 / 2 (Lu et al. 2022, algorithm 2);
the widely copied third-order multistep update, which takes half of the curvature term; UniPC with B(h) = e^h - 1
(Zhao et al. 2023). `final` marks last steps of ever lower order, as their code makes in few steps: theirs and ours.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy.optimize import linear_sum_assignment

import sde_jax as sj
from sde_jax.sampling import Heun
from sde_jax.sampling.solver import Step

WEIGHTS = np.array([0.35, 0.65])
MEANS = np.array([[-0.8, 0.3], [0.5, -0.2]])
COVARIANCES = np.array([[[0.04, 0.02], [0.02, 0.03]], [[0.06, -0.03], [-0.03, 0.04]]])
PATHS = {"VP": sj.VP(), "EDMPath": sj.EDMPath(), "RectifiedFlow": sj.RectifiedFlow()}
GRIDS = {"U": sj.grids.Uniform(), "L": sj.grids.LogSNR(), "K": sj.grids.Karras(), "Q": sj.grids.Quadratic()}
FEW = 500


class Past(NamedTuple):
    """What a published multistep method carries: log-SNRs [3] and clean estimates [3, *shape], newest first."""

    log_snr: Any
    x0: Any
    known: Any
    corrected: Any
    left: Any


@dataclass(frozen=True)
class PublishedMultistep(sj.FixedGridSolver):
    """x_s = (sigma_s / sigma_t) x + alpha_s ((1 - e^-h) D_0 + rest), the rest by the formula as published."""

    order: int = 2
    final: bool = False

    def init(self, x, grid):
        zeros = jnp.zeros((3, *x.shape))
        return Past(jnp.zeros(3), zeros, jnp.zeros((), int), x, jnp.asarray(len(grid) - 1)), grid[0]

    def step(self, key, x, t, s, state, *, sde, denoise):
        past, t_before = state
        x0 = denoise(x, t)
        x = self.corrected(x, t, t_before, past, x0, sde)
        past = Past(
            jnp.concatenate([sde.log_snr(t)[None], past.log_snr[:-1]]),
            jnp.concatenate([x0[None], past.x0[:-1]]),
            past.known + 1,
            x,
            past.left - 1,
        )
        arrived = self.predicted(x, t, s, past, sde)
        return Step(arrived, arrived), (past, t)

    def corrected(self, x, t, t_before, past, x0, sde):
        return x

    def predicted(self, x, t, s, past, sde):
        h = sde.log_snr(s) - sde.log_snr(t)
        order = jnp.minimum(past.known, self.order)
        order = jnp.minimum(order, past.left + 1) if self.final else order
        rest = self.rests(h, past)
        rest = jnp.select([order == 1, order == 2], [jnp.zeros_like(x), rest[0]], rest[-1])
        return sde.sigma(s) / sde.sigma(t) * x + sde.alpha(s) * (-jnp.expm1(-h) * past.x0[0] + rest)

    def rests(self, h, past):
        """Return what orders 2 and 3 add."""
        d, ratio = past.x0, (past.log_snr[0] - past.log_snr[1:]) / h
        psi_0 = -jnp.expm1(-h)
        second = psi_0 / 2 * (d[0] - d[1]) / ratio[0]
        if self.order == 2:
            return (second,)
        r0, r1 = ratio[0], ratio[1] - ratio[0]
        slope, before = (d[0] - d[1]) / r0, (d[1] - d[2]) / r1
        curvature = (slope - before) / (r0 + r1)
        slope = slope + r0 * curvature
        psi_1 = 1 - psi_0 / h
        return second, psi_1 * slope + (0.5 - psi_1 / h) * curvature


@dataclass(frozen=True)
class PublishedUniPC(PublishedMultistep):
    """The same form, whose coefficients solve sum_i a_i r_i^k = b_k, with 1/2 for the one coefficient of order one.

    B(h) = e^h - 1 as `bh2`, otherwise h.
    """

    bh2: bool = True

    def scale(self, h):
        """Return B(-h)."""
        return jnp.expm1(-h) if self.bh2 else -h

    def coefficients(self, nodes, h):
        """Return the a_i of the values at `nodes`, in units of h."""
        if len(nodes) == 1:
            return [0.5]
        phi, factorial, right = jnp.expm1(-h) / -h - 1, 1, []
        for k in range(1, len(nodes) + 1):
            right.append(phi * factorial / self.scale(h))
            factorial *= k + 1
            phi = phi / -h - 1 / factorial
        table = jnp.stack([jnp.stack(nodes) ** k for k in range(len(nodes))])
        return list(jnp.linalg.solve(table, jnp.stack(right)))

    def rests(self, h, past):
        """Return what orders 2 and 3 add."""
        r = [(past.log_snr[i] - past.log_snr[0]) / h for i in (1, 2)]
        return tuple(
            -self.scale(h) * self.series(self.coefficients(r[: n - 1], h), r[: n - 1], past)
            for n in range(2, self.order + 1)
        )

    def series(self, a, r, past):
        """Return sum_i a_i (D_i - D_0) / r_i."""
        return sum(a[i] * (past.x0[i + 1] - past.x0[0]) / r[i] for i in range(len(r)))

    def corrected(self, x, t, t_before, past, x0, sde):
        """Return x after the corrector of the order that predicted it."""
        h = sde.log_snr(t) - sde.log_snr(t_before)
        made = jnp.where(past.known > 0, h, 1.0)
        r = [(past.log_snr[i] - past.log_snr[0]) / made for i in (1, 2)]
        order = jnp.minimum(past.known, self.order)
        rests = []
        for n in range(1, self.order + 1):
            a = self.coefficients([*r[: n - 1], jnp.ones_like(made)], made)
            rests.append(-self.scale(made) * (self.series(a[:-1], r[: n - 1], past) + a[-1] * (x0 - past.x0[0])))
        rest = jnp.select([order == n for n in range(1, self.order)], rests[:-1], rests[-1])
        base = sde.sigma(t) / sde.sigma(t_before) * past.corrected
        moved = base + sde.alpha(t) * (-jnp.expm1(-made) * past.x0[0] + rest)
        return jnp.where(past.known > 0, moved, x)


class Row(NamedTuple):
    """A sampler, its evaluations a step and beside the steps, and whether it draws noise or is a published formula."""

    name: str
    solver: Any
    each: int = 1
    more: int = 0
    noisy: bool = False
    published: bool = False
    least: int = 1

    def steps(self, budget: int) -> int:
        """Return how many steps the budget allows."""
        return (budget - self.more) // self.each


EXACT = {"published": False, "lower_order_final": False}
ROWS = [
    Row("* DDIM", sj.DDIM(), published=True),
    Row("* EDMHeun", sj.EDMHeun(), 2, published=True),
    Row("* DPM-Solver++(2M)", PublishedMultistep(), published=True),
    Row("* DPM-Solver++(2M), final", PublishedMultistep(final=True), published=True),
    Row("* 3M as copied", PublishedMultistep(3), published=True),
    Row("* 3M as copied, final", PublishedMultistep(3, final=True), published=True),
    Row("* UniPC(2), bh2", PublishedUniPC(2), published=True),
    Row("* UniPC(2), bh2, final", PublishedUniPC(2, final=True), published=True),
    Row("* UniPC(3), bh2", PublishedUniPC(3), published=True),
    Row("* UniPC(3), bh2, final", PublishedUniPC(3, final=True), published=True),
    Row("Euler (EulerMaruyama, churn=0)", sj.EulerMaruyama(churn=0.0)),
    Row("Heun", Heun(), 2),
    Row("DPMSolverSinglestep(2)", sj.DPMSolverSinglestep(order=2), 2),
    Row("DPMSolverSinglestep(3)", sj.DPMSolverSinglestep(order=3), 3),
    Row("DPMSolverMultistep(2)", sj.DPMSolverMultistep(order=2, **EXACT), least=2),
    Row("DPMSolverMultistep(3)", sj.DPMSolverMultistep(order=3, starter=True, **EXACT), more=1, least=3),
    Row("DPMSolverMultistep(3), no starter", sj.DPMSolverMultistep(order=3, **EXACT), least=3),
    Row("DPMSolverMultistep(2), final", sj.DPMSolverMultistep(order=2, published=False), least=2),
    Row("DPMSolverMultistep(3), final", sj.DPMSolverMultistep(order=3, published=False), least=3),
    Row("UniPC(2)", sj.UniPC(order=2, **EXACT), least=2),
    Row("UniPC(3)", sj.UniPC(order=3, starter=True, **EXACT), more=2, least=3),
    Row("UniPC(3), no starter", sj.UniPC(order=3, **EXACT), least=3),
    Row("UniPC(2), final", sj.UniPC(order=2, published=False), least=2),
    Row("UniPC(3), final", sj.UniPC(order=3, published=False), least=3),
    Row("DEIS(3)", sj.DEIS(order=3, starter=True), more=1, least=3),
    Row("DEIS(3), no starter", sj.DEIS(order=3, starter=False), least=3),
    Row("IPNDM(4)", sj.IPNDM(order=4, starter=True), more=4, least=4),
    Row("IPNDM(4), no starter", sj.IPNDM(order=4), least=4),
    Row("IPNDM(4), final", sj.IPNDM(order=4, lower_order_final=True), least=4),
    Row("EulerMaruyama", sj.EulerMaruyama(), noisy=True),
    Row("Ancestral", sj.Ancestral(), noisy=True),
    Row("DPMSolverMultistep(2, churn=1)", sj.DPMSolverMultistep(order=2, churn=1.0, **EXACT), noisy=True, least=2),
    Row("SASolver(3, churn=1)", sj.SASolver(starter=True, lower_order_final=False), noisy=True, least=3),
    Row("EDMHeun(churn=4)", sj.EDMHeun(churn=4.0), 2, noisy=True),
]


class Problem:
    """A path with its mixture, prior draws and what they should become."""

    def __init__(self, sde: sj.GaussianPath, samples: int):
        self.sde, self.denoise = sde, sj.exact.MixtureDenoiser(sde, WEIGHTS, MEANS, COVARIANCES)
        self.start = float(sde.time_of(jnp.asarray(-np.log(80.0)))) if float(sde.log_snr(1.0)) == -np.inf else 1.0
        self.end = float(sde.time_of(jnp.asarray(-np.log(0.01))))
        self.known_grids: dict[int, np.ndarray] = {}
        self.keys = jax.random.split(jax.random.key(0), samples)
        z = jax.vmap(lambda key: jax.random.normal(key, (2,)))(jax.random.split(jax.random.key(1), samples))
        self.prior = sde.sigma(self.start) * z
        self.flow = self.exact()
        self.drawn = [self.draws(seed, samples) for seed in (2, 3)]
        self.floor = wasserstein(*self.drawn)

    def draws(self, seed: int, n: int) -> np.ndarray:
        """Return exact draws at the end."""
        rng = np.random.default_rng(seed)
        component = rng.choice(2, n, p=WEIGHTS)
        x0 = MEANS[component] + np.einsum(
            "nij,nj->ni", np.linalg.cholesky(COVARIANCES)[component], rng.normal(size=(n, 2))
        )
        return np.array(self.sde.alpha(self.end) * x0 + self.sde.sigma(self.end) * rng.normal(size=(n, 2)))

    def exact(self) -> np.ndarray:
        """Return what the exact flow makes of every prior draw."""
        solver = sj.ProbabilityFlow(sj.Tolerance(1e-9, 1e-9), sj.ode.Dopri8())
        grid = jnp.array([self.start, self.end])
        lifted = jax.vmap(lambda key, x: solver.solve(key, x, grid, 0, sde=self.sde, denoise=self.denoise).x)
        return np.array(jax.jit(lifted)(self.keys, self.prior))

    def advance(self, solver: sj.FixedGridSolver) -> Callable:
        """Return the solver's step of all samples: compiled once, for all grids."""

        def one(key, n, x, t, s, state):
            return solver.step(jax.random.fold_in(key, n), x, t, s, state, sde=self.sde, denoise=self.denoise)

        return jax.jit(jax.vmap(one, (0, None, 0, None, None, 0)))

    def carried(self, solver: sj.FixedGridSolver, advance: Callable, grid: np.ndarray) -> tuple[np.ndarray, int]:
        """Return every prior draw carried down a grid, and the evaluations, as `FixedGridSolver.solve` makes them."""
        x, state = self.prior, jax.vmap(lambda x: solver.init(x, grid))(self.prior)
        mean, made = x, 0
        for n, (t, s) in enumerate(pairwise(grid)):
            (x, mean, evaluations), state = advance(self.keys, n, x, t, s, state)
            made += int(np.max(evaluations))
        return np.array(mean), made

    def best(self, row: Row, advance: Callable, budget: int) -> tuple[float, str] | None:
        """Return the distance on the best grid, and that grid's letter; None where the budget is too small."""
        steps = row.steps(budget)
        if steps < row.least:
            return None
        reached = []
        for grid in self.grids(steps):
            x, made = self.carried(row.solver, advance, grid)
            assert made <= budget, f"{row.name}: {made} evaluations of {budget}"
            reached.append(x)
        others = self.drawn[0] if row.noisy else self.flow
        if row.noisy:
            errors = [wasserstein(x[:FEW], others[:FEW]) for x in reached]
        else:
            errors = [np.nan_to_num(np.mean(np.sum((x - others) ** 2, -1)), nan=np.inf) for x in reached]
        n = int(np.argmin(errors))
        return wasserstein(reached[n], others), list(GRIDS)[n]

    def grids(self, steps: int) -> np.ndarray:
        """Return all grids of `steps` steps."""
        if steps not in self.known_grids:
            spread = [grid.times(self.sde, steps, self.end, self.start) for grid in GRIDS.values()]
            self.known_grids[steps] = np.array(spread)
        return self.known_grids[steps]


def wasserstein(x: np.ndarray, y: np.ndarray) -> float:
    """Return the 2-Wasserstein distance of two sets of equally many points."""
    if not np.all(np.isfinite(x)):
        return np.inf
    cost = np.sum((x[:, None] - y) ** 2, -1)
    return float(np.sqrt(cost[linear_sum_assignment(cost)].mean()))


def table(name: str, problem: Problem, budgets: Sequence[int]) -> None:
    """Measure and print one path's rows."""
    print(
        f"\n{name} from t = {problem.start:.3g} to {problem.end:.3g}; floor of samplers with noise {problem.floor:.2g}"
    )
    print(line("", budgets))
    found: dict[tuple[bool, int], list[tuple[float, str]]] = {}
    for row in ROWS:
        cells, advance = [], problem.advance(row.solver)
        for budget in budgets:
            best = problem.best(row, advance, budget)
            cells.append("" if best is None else f"{best[0]:.2g} {best[1]}")
            if best is not None and not row.noisy:
                found.setdefault((row.published, budget), []).append((best[0], row.name))
        print(
            f"| {row.name + (' ~' if row.noisy else ''):<36} |" + "".join(f" {cell:>10} |" for cell in cells),
            flush=True,
        )
    for budget in budgets:
        (theirs, their_name), (ours, our_name) = min(found[True, budget]), min(found[False, budget])
        verdict = "holds" if ours <= theirs else "FAILS"
        print(f"{budget} evaluations: ours {ours:.3g} ({our_name}), published {theirs:.3g} ({their_name}): {verdict}")


def line(name: str, cells: Sequence[Any]) -> str:
    """Return one row of the table."""
    return f"| {name:<36} |" + "".join(f" {cell:>10} |" for cell in cells)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--budgets", type=int, nargs="+", default=[5, 10, 20])
    parser.add_argument("--paths", nargs="+", choices=PATHS, default=list(PATHS))
    flags = parser.parse_args()
    began = time.perf_counter()
    with jax.enable_x64(True):
        for name in flags.paths:
            table(name, Problem(PATHS[name], flags.samples), flags.budgets)
    print(f"\n{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
