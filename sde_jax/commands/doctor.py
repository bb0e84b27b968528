"""`sde-jax doctor`: what is here and what is missing, and what a config costs here."""

import importlib.util
import json
import shutil

import jax
from clu import parameter_overview

from sde_jax import nn
from sde_jax.commands.costs import Costs, costs
from sde_jax.commands.report import environment
from sde_jax.commands.settings import opened
from sde_jax.commands.start import import_seconds
from sde_jax.commands.train import require_facts
from sde_jax.experiment import Experiment
from sde_jax.model import Record

SLOW = 0.1
"""Seconds above which the import of a package is slow."""

OPTIONAL = {
    "notebooks": ("jupyterlab", "the tutorials (pip install 'sde-jax[notebooks]')"),
    "development": ("pytest", "the tests (make test installs it)"),
}


def run(as_json: bool = False) -> int:
    """Print versions, devices, slow imports and what is missing; return the exit code."""
    spent = import_seconds("sde_jax.commands.train")
    slow = [f"{package} {seconds:.1f} s" for package, seconds in spent.items() if seconds > SLOW]
    facts = {
        **environment(),
        "compilation cache": jax.config.values["jax_compilation_cache_dir"] or "off",
        "imports": f"{sum(spent.values()):.1f} s before a training starts; {', '.join(slow)}",
    }
    print(json.dumps(facts) if as_json else "\n".join(f"{name:<20} {value}" for name, value in facts.items()))
    if as_json:
        return 0
    if jax.default_backend() == "cpu" and shutil.which("nvidia-smi"):
        print("missing: an NVIDIA GPU is here but JAX does not use it (pip install 'sde-jax[cuda]')")
    for module, purpose in OPTIONAL.values():
        if importlib.util.find_spec(module) is None:
            print(f"missing: {module}, for {purpose}")
    return 0


def examine(experiment: Experiment, shape: tuple[int, ...] | None = None, compiled: bool = False) -> Costs:
    """Return what the train step of an experiment costs on this machine, on its data or on images of `shape`."""
    return costs(_record(experiment, shape), experiment.training.mesh.over(), compiled)


def dry_run(experiment: Experiment, compiled: bool = False) -> None:
    """Print the resolved config, the parameter table, the mesh and what a step costs, as `costs`; train nothing."""
    splits = experiment.data.open()
    record = Record.of(experiment, splits)
    require_facts(record, splits)
    _, params = nn.abstract(experiment.network, record.shape)  # before a device is touched
    mesh = experiment.training.mesh.over()
    sizes = {"train": len(splits.train), "held_out": len(splits.held_out)}
    print(json.dumps(experiment.to_json(), indent=2))
    print(parameter_overview.get_parameter_overview(params, include_stats=False))
    print(f"data: {sizes}, shape {record.shape}, {_numbers(record)}")
    print(f"mesh: {dict(mesh.shape)} of {mesh.devices.flat[0].device_kind}")
    print(costs(record, mesh, compiled))


def _numbers(record: Record) -> str:
    return "real numbers" if record.levels is None else f"{record.levels} levels"


def _record(experiment: Experiment, shape: tuple[int, ...] | None) -> Record:
    if shape is not None:
        return Record(experiment, shape, levels=256)
    return Record.of(experiment, opened(experiment))
