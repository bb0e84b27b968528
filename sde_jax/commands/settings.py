"""From a config file and overrides to an experiment."""

import runpy
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import ml_collections

from sde_jax.errors import InputError
from sde_jax.experiment import Experiment


def resolve(config: str, overrides: Mapping[str, Any]) -> Experiment:
    """Return the experiment of a config file with overrides at dotted paths.

    The file defines `get_config()`, which returns an `Experiment` (or a mapping or `ml_collections.ConfigDict` of its
    JSON form). Raises `InputError` with every problem found, one a line: in the file, in the overrides, and in how
    the batch falls on this machine's devices.
    """
    experiment, problems = _from_file(Path(config)).override(overrides)
    devices = jax.device_count()
    if experiment.training.batch_size % devices:
        problems.append(
            f"config.training.batch_size = {experiment.training.batch_size}: "
            f"expected a multiple of the number of devices, {devices}"
        )
    if problems:
        raise InputError("\n".join(problems))
    return experiment


def _from_file(path: Path) -> Experiment:
    if not path.is_file():
        raise InputError(f"{path}: no such config file; those of the repository are in configs/")
    try:
        value = runpy.run_path(str(path))["get_config"]()
    except InputError:
        raise
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"{path}: {type(error).__name__}: {error} (line {where.lineno} of {where.filename})"
        ) from error
    if isinstance(value, ml_collections.ConfigDict):
        value = value.to_dict()
    if isinstance(value, Mapping):
        value = Experiment.from_json(value)
    if not isinstance(value, Experiment):
        raise InputError(f"{path}: get_config() returned a {type(value).__name__}, expected an Experiment")
    return value
