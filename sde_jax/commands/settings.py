"""From a config file and overrides to an experiment."""

import runpy
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections

from sde_jax.codec import decode
from sde_jax.commands.capacity import excessive
from sde_jax.commands.official_experiment import official_experiment, official_values
from sde_jax.data import Splits
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Sampler
from sde_jax.nn import NCSN, ByTable
from sde_jax.objective import Objective
from sde_jax.prediction import without_score
from sde_jax.sampling import FixedGridSolver, Solver, draws_noise
from sde_jax.sampling.ends import same_noise
from sde_jax.sampling.grids import checked
from sde_jax.sampling.loop import check_ends
from sde_jax.sde import SMLD, GaussianPath, require_falling


def resolve(config: str, overrides: Mapping[str, Any]) -> Experiment:
    """Return the experiment of a config file with overrides at dotted paths.

    The file defines `get_config()`, which returns an `Experiment` (or a mapping or `ml_collections.ConfigDict` of its
    JSON form). Raises `InputError` with every problem found, one a line: in the file and in the overrides, or, where
    they are right, in how the batch falls on this machine's devices and in what its samplers need.
    """
    value, found = decode(Experiment, from_file(Path(config)), where="config")
    experiment, problems = (value or Experiment()).override(overrides)
    if not found + problems:  # a file's components may be of any type until then, and no device is asked for
        preview, samplers = experiment.training.preview, experiment.samplers
        problems = [*excessive(experiment)] or [
            *_unshared(experiment),
            *unusable(experiment.sde, experiment.samplers),
            *_unscaled(experiment),
            *unmatched(experiment.sde, experiment.samplers),
            *lawless(experiment.objective, {preview.sampler: samplers[preview.sampler]} if preview.every else {}),
        ]
    if found or problems:
        raise InputError("\n".join([*found, *problems]))
    return experiment


def opened(experiment: Experiment) -> Splits:
    """Return the data, where all that is asked of them is what `--shape` can say too, as the `InputError` then does."""
    try:
        return experiment.data.open()
    except InputError as error:
        advice = "; or say the shape of an image, as --shape 32,32,3"
        raise InputError("\n".join(f"{line}{advice}" for line in str(error).splitlines())) from None


def _unshared(experiment: Experiment) -> Iterator[str]:
    settings, devices = experiment.training, jax.device_count()
    if settings.batch_size % devices:
        what = f"a multiple of the number of devices, {devices}"
        yield f"config.training.batch_size = {settings.batch_size}: expected {what}"
    elif settings.batch_size % (devices * settings.accumulate):
        what = f"a divisor of the {settings.batch_size // devices} examples of a batch on each device"
        yield f"config.training.accumulate = {settings.accumulate}: expected {what}"
    if devices % settings.mesh.fsdp:
        what = f"a divisor of the number of devices, {devices}"
        yield f"config.training.mesh.fsdp = {settings.mesh.fsdp}: expected {what}"


def unusable(sde: GaussianPath, samplers: Mapping[str, Sampler]) -> Iterator[str]:
    """Yield what would stop samplers once the network is trained: a path that does not fall, an unfit grid."""
    try:
        require_falling(sde)
    except InputError as error:
        yield f"config.sde: {error}"
        return
    for name, sampler in samplers.items():
        try:
            grid = checked(sampler.grid(sde))
            if isinstance(sampler.solver, FixedGridSolver):
                sampler.solver.init(jnp.zeros(()), grid)
            if not any(_foreign(sampler.solver, sde)):
                check_ends(sampler.solver, sde, grid)
        except InputError as error:
            yield f"config.samplers.{name}: {error}"


def lawless(objective: Objective, samplers: Mapping[str, Sampler]) -> list[str]:
    """Return why samplers would draw from another law than the objective's, a line each."""
    draws = [name for name, sampler in samplers.items() if draws_noise(sampler.solver)]
    if objective.gives_score:
        return []
    return [without_score(f"--sampler={name}", type(objective.coupling).__name__) for name in draws]


def _unscaled(experiment: Experiment) -> Iterator[str]:
    """Yield, a line each, the tables of a network whose noise is not that of the path.

    They are settings of their own, which a change of `sde` alone leaves behind.
    """
    sde, scale = experiment.sde, getattr(experiment.network, "scale", None)
    if isinstance(sde, SMLD) and isinstance(scale, ByTable) and scale != ByTable(*_levels(sde)):
        yield f"config.network.scale = {scale}: expected the path's levels, {ByTable(*_levels(sde))}"
    if isinstance(sde, SMLD) and isinstance(experiment.network, NCSN) and experiment.network.classes != sde.steps:
        yield f"config.network.classes = {experiment.network.classes}: expected the path's steps, {sde.steps}"


def unmatched(sde: GaussianPath, samplers: Mapping[str, Sampler]) -> Iterator[str]:
    """Yield, a line each, the tables of samplers whose noise is not that of the path, as `_unscaled` of networks."""
    for name, sampler in samplers.items():
        for part, chain in _foreign(sampler.solver, sde):
            yield f"config.samplers.{name}.solver{part}: the table of {chain}: expected one of {sde}"


def _foreign(solver: Solver, sde: GaussianPath) -> Iterator[tuple[str, GaussianPath]]:
    """Yield the parts of a solver, or itself, that step by the table of another path, and its chain."""
    parts = {f".{part}": getattr(solver, part, None) for part in ("predictor", "corrector")}
    for part, value in {"": solver, **parts}.items():
        chain = getattr(value, "chain", getattr(getattr(value, "discretization", None), "chain", None))
        if chain is not None and not same_noise(chain, sde):
            yield part, chain


def _levels(sde: SMLD) -> tuple[float, float, int]:
    return sde.sigma_min, sde.sigma_max, sde.steps


def from_file(path: Path) -> Experiment | Mapping[str, Any]:
    """Return what the `get_config()` of a file returns, which is executed; raises `InputError`, naming the line.

    A .json file is an official configuration's values.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such config file; those of the repository are in configs/")
    if path.suffix == ".json":
        values = official_values(path)
        try:
            return official_experiment(values)
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
    try:
        build = runpy.run_path(str(path)).get("get_config")
        if not callable(build):
            raise InputError("defines no get_config(); expected a function that returns an Experiment")
        value = build()
        if isinstance(value, ml_collections.ConfigDict):
            value = value.to_dict()
        if not isinstance(value, Experiment | Mapping):
            raise InputError(f"get_config() returned {value!r:.100}; expected an Experiment")
    except (Exception, SystemExit) as error:
        what = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        lines = [f"{path}{_line(error, path)}: {line}" for line in what.splitlines()]
        raise InputError("\n".join(lines)) from error
    return value


def _line(error: BaseException, path: Path) -> str:
    """Return where in the config file an error arose, nothing where it arose elsewhere."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""
