"""What `sample(..., grid=N)` errs by in N = 5 to 20 denoiser calls, beside published formulas on their best grids.

    python tests/benchmarks/few_evaluations.py [--budgets 5 8 10 15 20] [--dimensions 2 8] [--samples 256]
        [--paths VP SubVP VE EDMPath RectifiedFlow Cosine] [--run runs/quickstart]

Two models are mixtures of Gaussians whose denoiser is known, in two and in eight dimensions; with --run the network of
a run is a third, carried to every path by `at_equal_log_snr`. A number is the root mean squared distance between where
a solver brings prior draws and where the exact flow brings the same ones (Dopri8, tolerance 1e-9; a network's: 1e-6),
all of which comes from the solver and its grid.

A published formula (*) runs down every one of these grids, and the best of its numbers is printed with the grid's name:
U uniform in t, Q quadratic, L log-SNR, K7 and K5 Karras' of power 7 and 5, C cosine (equal steps of arctan rho), from
t = 1 (1), or from rho = 152 (-) where rho is infinite there, to t = 0 (0), or to rho = 0.01 (.). It has the settings
of its paper: orders rise from 1 as values come, and fall to 1 in the last steps where `final` says so, as their code
does in few steps. Ours, below, have their defaults, and grid=N. At the end of each column stand the best of both.
Target: at most 1.05 times the best published formula on its best grid.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from work_per_quality import COVARIANCES, MEANS, WEIGHTS, PublishedMultistep, PublishedUniPC

import sde_jax as sj
from sde_jax.commands import workdir
from sde_jax.prediction import at_equal_log_snr
from sde_jax.sampling import grids, recommended_grid

PATHS = {
    "VP": sj.VP(),
    "SubVP": sj.SubVP(),
    "VE": sj.VE(),
    "EDMPath": sj.EDMPath(),
    "RectifiedFlow": sj.RectifiedFlow(),
    "Cosine": sj.Cosine(),
}
FIRST = 152.0
"""rho at t = 1 of VP, where a published formula starts on paths whose own is infinite."""


@dataclass(frozen=True)
class EqualAngles(grids.NoiseGrid):
    """Equal steps in arctan rho: in t of the cosine schedule."""

    def noise(self, first: float, last: float, steps: int) -> np.ndarray:
        """Return the values of rho."""
        angles = np.linspace(np.arctan(first), np.arctan(last), steps + 1)
        return np.concatenate([[first], np.tan(angles[1:-1]), [last]])


SPACINGS = {
    "U": grids.Uniform(),
    "Q": grids.Quadratic(),
    "L": grids.LogSNR(),
    "K7": grids.Karras(),
    "K5": grids.Karras(power=5.0),
    "C": EqualAngles(),
}


class Row(NamedTuple):
    """A solver, its evaluations a step, and whether it is a published formula with grids to choose from."""

    name: str
    solver: sj.FixedGridSolver
    each: int = 1
    published: bool = False
    least: int = 1


ROWS = [
    Row("* DDIM", sj.DDIM(), published=True),
    Row("* EDM Heun", sj.EDMHeun(), 2, published=True),
    Row("* DPM-Solver++(2M)", PublishedMultistep(), published=True),
    Row("* DPM-Solver++(2M), final", PublishedMultistep(final=True), published=True),
    Row("* DPM-Solver++(3M), final", PublishedMultistep(3, final=True), published=True),
    Row("* UniPC(2), bh1, final", PublishedUniPC(2, final=True, bh2=False), published=True),
    Row("* UniPC(2), bh2, final", PublishedUniPC(2, final=True), published=True),
    Row("* UniPC(3), bh1, final", PublishedUniPC(3, final=True, bh2=False), published=True),
    Row("* UniPC(3), bh2, final", PublishedUniPC(3, final=True), published=True),
    Row("* DEIS, tAB3", sj.DEIS(order=3), published=True, least=3),
    Row("* iPNDM-3", sj.IPNDM(order=3), published=True, least=3),
    Row("* iPNDM-4", sj.IPNDM(order=4), published=True, least=4),
    Row("DDIM()", sj.DDIM()),
    Row("EDMHeun()", sj.EDMHeun(), 2),
    Row("DPMSolverSinglestep()", sj.DPMSolverSinglestep(), 2),
    Row("DPMSolverMultistep()", sj.DPMSolverMultistep(), least=2),
    Row("DPMSolverMultistep(3)", sj.DPMSolverMultistep(order=3), least=3),
    Row("UniPC()", sj.UniPC(), least=2),
    Row("UniPC(3)", sj.UniPC(order=3), least=3),
    Row("DEIS()", sj.DEIS(), least=3),
    Row("IPNDM()", sj.IPNDM(), least=3),
    Row("IPNDM(4)", sj.IPNDM(order=4), least=4),
]


class Model(NamedTuple):
    """What is sampled: `denoise` of a path, the shape of one x, and the tolerance of its fine solution."""

    name: str
    denoise: Callable[[sj.GaussianPath], Any]
    shape: tuple[int, ...]
    tolerance: float = 1e-9


def mixture(dimensions: int) -> Model:
    """Return a mixture: that of `work_per_quality.py` in two dimensions, otherwise three Gaussians at random."""
    if dimensions == 2:
        parts = WEIGHTS, MEANS, COVARIANCES
    else:
        rng = np.random.default_rng(0)
        means = rng.uniform(-1, 1, (3, dimensions))
        roots = 0.12 * rng.normal(size=(3, dimensions, dimensions))
        parts = np.array([0.5, 0.3, 0.2]), means, roots @ roots.swapaxes(1, 2) + 0.02 * np.eye(dimensions)
    return Model(f"mixture in {dimensions}", lambda sde: sj.exact.MixtureDenoiser(sde, *parts), (dimensions,))


def network(directory: Path) -> Model:
    """Return the model of a run."""
    with jax.enable_x64(False):
        model = workdir.load(workdir.Workdir(directory))
    denoise = lambda sde: at_equal_log_snr(model.denoise, model.sde, sde)  # noqa: E731
    return Model(str(directory), denoise, model.record.shape, 1e-6)


class Problem:
    """A path with a model, prior draws and what they should become at t = 0."""

    def __init__(self, model: Model, sde: sj.GaussianPath, samples: int):
        self.sde, self.denoise = sde, model.denoise(sde)
        self.keys = jax.random.split(jax.random.key(0), samples)
        self.prior = jax.vmap(lambda key: sde.prior_sample(key, model.shape))(self.keys)
        infinite = float(sde.log_snr(1.0)) == -np.inf
        self.starts = {"1": 1.0, **({"-": float(sde.time_of(-jnp.log(FIRST)))} if infinite else {})}
        self.ends = {"0": 0.0}
        if float(sde.log_snr(0.0)) > -np.log(0.0101):
            self.ends["."] = float(sde.time_of(-jnp.log(0.01)))
        self.flow = self.exact(model.tolerance)

    def exact(self, tolerance: float) -> np.ndarray:
        """Return what the exact flow makes of every prior draw; below rho = 1e-4 it is the clean estimate."""
        clean = float(self.sde.log_snr(0.0)) < 9.0
        end = 0.0 if clean else float(self.sde.time_of(-jnp.log(1e-4)))
        solver = sj.ProbabilityFlow(sj.Tolerance(tolerance, tolerance, 10**5), sj.ode.Dopri8())
        start = 1.0 if np.all(np.isfinite(self.sde.log_snr(1.0))) else 1 - 1e-6
        grid = jnp.array([start, end])
        solve = lambda x: solver.solve(self.keys[0], x, grid, 0, sde=self.sde, denoise=self.denoise).x  # noqa: E731
        x = jax.jit(jax.vmap(solve))(self.prior)
        return np.asarray(x if clean else jax.vmap(lambda x: self.denoise(x, end))(x))

    def candidates(self, steps: int) -> dict[str, np.ndarray]:
        """Return the grids that published formulas choose from."""
        found = {}
        for name, spacing in SPACINGS.items():
            for start, t in self.starts.items():
                for end, s in self.ends.items():
                    try:
                        found[name + start + end] = spacing.times(self.sde, steps, s, t)
                    except sj.InputError:  # too few steps for the ends
                        continue
        return found

    def advance(self, solver: sj.FixedGridSolver) -> Callable:
        """Return the solver's step of all samples on all grids: compiled once for each number of grids."""
        one = lambda x, t, s, state: solver.step(  # noqa: E731
            self.keys[0], x, t, s, state, sde=self.sde, denoise=self.denoise
        )
        return jax.jit(jax.vmap(jax.vmap(one, (0, None, None, 0)), (0, 0, 0, 0)))

    def errors(self, solver: sj.FixedGridSolver, advance: Callable, times: np.ndarray) -> np.ndarray:
        """Return the distance for each of the grids, [grids, steps + 1]."""
        init = lambda times: jax.vmap(lambda x: solver.init(x, times))(self.prior)  # noqa: E731
        state, x = jax.vmap(init)(jnp.asarray(times)), jnp.broadcast_to(self.prior, (len(times), *self.prior.shape))
        for t, s in pairwise(np.moveaxis(times, 1, 0)):
            (x, *_), state = advance(x, t, s, state)
        alpha = np.asarray(jax.vmap(self.sde.alpha)(jnp.asarray(times[:, -1])) / self.sde.alpha(0.0))
        x = np.asarray(x) / alpha.reshape(-1, *(1 for _ in self.prior.shape))
        squares = np.sum((x - self.flow) ** 2, axis=tuple(range(2, x.ndim)))
        return np.nan_to_num(np.sqrt(squares.mean(1)), nan=np.inf)


def measured(problem: Problem, row: Row, budgets: Sequence[int]) -> list[tuple[float, str] | None]:
    """Return, for each budget, the error and the grid's name; None where it is too small."""
    advance, found = problem.advance(row.solver), []
    for budget in budgets:
        steps = budget // row.each
        if steps < row.least:
            found.append(None)
            continue
        own = {} if row.published else {"": recommended_grid(row.solver, problem.sde, steps)}
        choice = own or problem.candidates(steps)
        errors = problem.errors(row.solver, advance, np.stack(list(choice.values())))
        best = int(np.argmin(errors))
        found.append((float(errors[best]), list(choice)[best]))
    return found


def table(model: Model, name: str, budgets: Sequence[int], samples: int) -> list[float]:
    """Measure and print one path's rows; return, for each budget, ours over the best published."""
    problem = Problem(model, PATHS[name], samples)
    print(f"\n{model.name}, {name}")
    best: dict[tuple[bool, int], tuple[float, str]] = {}
    for row in ROWS:
        cells = measured(problem, row, budgets)
        shown = ["-" if cell is None else f"{cell[0]:.4f} {cell[1]}".strip() for cell in cells]
        print(f"| {row.name:<26} |" + "".join(f" {cell:>12} |" for cell in shown), flush=True)
        for budget, cell in zip(budgets, cells, strict=True):
            if cell is not None:
                key = row.published, budget
                best[key] = min(best.get(key, (np.inf, "")), (cell[0], f"{row.name} {cell[1]}".strip()))
    ratios = [best[False, budget][0] / best[True, budget][0] for budget in budgets]
    for budget, ratio in zip(budgets, ratios, strict=True):
        (theirs, formula), (ours, solver) = best[True, budget], best[False, budget]
        print(f"{budget:>3}: ours {ours:.4f} ({solver}), published {theirs:.4f} ({formula}): {ratio:.2f}")
    return ratios


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--budgets", type=int, nargs="+", default=[5, 8, 10, 15, 20])
    parser.add_argument("--paths", nargs="+", choices=PATHS, default=list(PATHS))
    parser.add_argument("--dimensions", type=int, nargs="*", default=[2, 8])
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--run", type=Path)
    flags = parser.parse_args()
    began, ratios = time.perf_counter(), {}
    models = [mixture(dimensions) for dimensions in flags.dimensions]
    with jax.enable_x64(True):
        for model in [*models, *([network(flags.run)] if flags.run else [])]:
            for path in flags.paths:
                ratios[model.name, path] = table(model, path, flags.budgets, flags.samples)
    print("\nours over the best published formula on its best grid; target 1.05")
    print(f"| {'':<40} |" + "".join(f" {budget:>5} |" for budget in flags.budgets))
    for (model, path), row in ratios.items():
        print(f"| {model + ', ' + path:<40} |" + "".join(f" {ratio:>5.2f} |" for ratio in row))
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
