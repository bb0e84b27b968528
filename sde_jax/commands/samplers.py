"""The samplers that a trained run can be asked for: its own, by their names, and those of the library."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from typing import Any

from sde_jax.codec import components
from sde_jax.commands.settings import unmatched, unusable
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Sampler
from sde_jax.sampling import (
    DDIM,
    Ancestral,
    DPMSolverMultistep,
    EulerMaruyama,
    EulerSteps,
    FixedGridSolver,
    Identity,
    MultistepConsistency,
    PredictorCorrector,
    ProbabilityFlow,
    ReverseSDE,
    Solver,
    UniPC,
)
from sde_jax.sde import GaussianPath, Tabulated

SHORT: Mapping[str, type] = {
    "pc": PredictorCorrector,
    "ode": ProbabilityFlow,
    "em": EulerMaruyama,
    "sde": ReverseSDE,
    "ancestral": Ancestral,
    "ddim": DDIM,
    "dpm": DPMSolverMultistep,
    "unipc": UniPC,
}
"""Names that every run knows, beside those of the classes; a run's own sampler of that name goes before."""
MANY, SOME, FEW = 1000, 200, 50
"""Steps of a method of order 1 that draws noise, of one that draws none, and of a higher order."""


def solvers() -> dict[str, type]:
    """Return, by name, the library's solvers that sample with nothing but a path and a denoiser."""
    others = Identity, MultistepConsistency  # which moves nothing, and which wants a consistency model
    return {name: cls for name, cls in components(Solver).items() if cls not in others and not _needy(cls)}


def _needy(cls: type) -> bool:
    return any(f.default is MISSING and f.default_factory is MISSING for f in fields(cls))


def standard(cls: type, sde: GaussianPath) -> Sampler:
    """Return a solver of the library on the grid that is recommended for it.

    A solver that moves down the rows of a table takes those of `sde`, where it is such a path.
    """
    solver = cls()
    if not isinstance(solver, FixedGridSolver):
        return Sampler(solver, FEW)
    chain = getattr(solver, "chain", None)
    if isinstance(chain, Tabulated):
        chain = sde if isinstance(sde, type(chain)) else chain
        return Sampler(replace(solver, chain=chain), chain.steps)
    first = MANY if solver.draws_noise else SOME
    return Sampler(solver, first if solver.convergence_order == 1 else FEW)


def named(experiment: Experiment, name: str) -> Sampler | None:
    """Return the run's sampler of a name, or the library's; None where neither has one."""
    if name in experiment.samplers:
        return experiment.samplers[name]
    cls = {**solvers(), **SHORT}.get(name)
    return standard(cls, experiment.sde) if cls else None


def with_solvers(
    experiment: Experiment, asked: Iterable[str], overrides: Mapping[str, Any]
) -> tuple[Experiment, list[str]]:
    """Return the experiment with the samplers asked for among its own and overrides applied, and every problem found.

    Each is the run's own, or one of the library's under the name asked for: `samplers.NAME.steps` changes either.
    """
    further = {name: sampler for name in asked if (sampler := named(experiment, name)) is not None}
    before = replace(experiment, samplers={**experiment.samplers, **further})
    after, problems = before.override(overrides)
    if problems:
        return after, problems
    kept = {name: _kept_in_step(name, before.samplers.get(name), sampler) for name, sampler in after.samplers.items()}
    return replace(after, samplers=kept), []


def _kept_in_step(name: str, before: Sampler | None, after: Sampler) -> Sampler:
    """Return a sampler whose steps alone were changed with its tables changed too."""
    if before is None or before.solver != after.solver or before.steps == after.steps:
        return after
    return replace(after, solver=_in_step(after.solver, before.steps, after.steps))


def of_steps(name: str, sampler: Sampler, steps: int) -> Sampler:
    """Return a sampler on a grid of so many steps, with the tables and discretisations in it that stand for its steps.

    Raises `InputError` where it makes steps of its own, and for a number that its table cannot have.
    """
    if not isinstance(sampler.solver, FixedGridSolver):
        raise InputError(f"--steps: {name} makes steps of its own; leave it out, or choose one with a fixed grid")
    return replace(sampler, steps=steps, solver=_in_step(sampler.solver, sampler.steps, steps))


def _in_step(part: Any, old: int, new: int) -> Any:
    if not is_dataclass(part) or isinstance(part, type):
        return part
    if isinstance(part, EulerSteps | Tabulated):
        return replace(part, steps=new) if part.steps == old else part
    values = {f.name: getattr(part, f.name) for f in fields(part) if f.init}
    changed = {name: _in_step(value, old, new) for name, value in values.items()}
    return part if changed == values else replace(part, **changed)


def unfit(sde: GaussianPath, samplers: Mapping[str, Sampler]) -> Iterator[str]:
    """Yield what would stop samplers on a path, or make nonsense of them, a line each."""
    yield from unusable(sde, samplers)
    yield from unmatched(sde, samplers)


def names(experiment: Experiment) -> list[str]:
    """Return the names of all samplers that a run can be asked for, its own first."""
    return [*dict.fromkeys((*experiment.samplers, *SHORT, *solvers()))]


def require_solvers(names: Iterable[str]) -> None:
    """Raise `InputError` unless all are names of the library's solvers."""
    there = solvers()
    odd = [
        f"--solver={name}: no such solver; expected one of {', '.join(there)}" for name in names if name not in there
    ]
    if odd:
        raise InputError("\n".join(odd))


def chosen(
    experiment: Experiment, name: str | None, steps: int | None = None, overrides: Mapping[str, Any] | None = None
) -> tuple[str, Experiment]:
    """Return the name of the sampler asked for, and the experiment with it, on a grid of `steps` where they are given.

    name: as `named`, None: the run's "pc", or where it has none its first. Raises `InputError` with all problems found.
    """
    name = name or ("pc" if "pc" in experiment.samplers else next(iter(experiment.samplers), "pc"))
    foreign = [path for path in overrides or {} if path.split(".")[0] != "samplers"]
    changed, problems = with_solvers(experiment, [name], overrides or {})
    problems = [
        f"--config.{path}: expected a setting of samplers; all else is as it was trained" for path in foreign
    ] or problems
    if not problems and name not in changed.samplers:
        own, further = ", ".join(experiment.samplers), names(experiment)[len(experiment.samplers) :]
        problems = [f"--sampler={name}: this run has {own}; the library has {', '.join(further)}"]
    if problems:
        raise InputError("\n".join(problems))
    sampler = changed.samplers[name] if steps is None else of_steps(name, changed.samplers[name], steps)
    problems = list(unfit(experiment.sde, {name: sampler}))
    if problems:
        raise InputError("\n".join(problems))
    return name, replace(changed, samplers={**changed.samplers, name: sampler})
