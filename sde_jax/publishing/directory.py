"""A published model: `model.safetensors`, `config.json` and `README.md`."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax import nn
from sde_jax.checkpoints import flatten, read_safetensors, require_match, write_safetensors
from sde_jax.errors import InputError, whole
from sde_jax.model import Model, Record
from sde_jax.placing import ordinary
from sde_jax.publishing.card import Card, written
from sde_jax.publishing.placed import CARD, CONFIG, FILES, WEIGHTS, placed
from sde_jax.version import __version__

FORMAT = 1
"""The version of the format that this library writes, and the newest that it reads."""


def save(directory: str | os.PathLike[str], model: Model, card: Card | None = None) -> None:
    """Write a model's averaged parameters, its record and its card, as a whole or not at all.

    The directory may be new, empty or that of a model published before, which is replaced. Raises `InputError` where
    it holds anything else or cannot be written, where a parameter is not finite or not one of the network, and where
    the record has a component of the user's own, which no other machine could read.
    """
    record = model.record
    _require_readable(record)
    names = flatten(nn.abstract(record.experiment.network, record.shape)[1])
    arrays = {name: np.asarray(array) for name, array in flatten(model.params).items()}
    _require_weights(arrays, names, "the model's parameters")
    wild = [name for name, array in arrays.items() if not np.isfinite(array).all()]
    if wild:
        raise InputError(f"{wild[0]} holds NaN or infinity; expected finite parameters: publish another checkpoint")
    facts = {
        "format": "sde_jax",
        "format_version": str(FORMAT),
        "library_version": __version__,
        "step": str(model.step),
    }
    with placed(Path(directory), FILES) as place:
        write_safetensors(place / WEIGHTS, arrays, facts)
        config = {"library": f"sde_jax {__version__}", "format_version": FORMAT, "step": model.step}
        config |= {"sha256": _digest(place / WEIGHTS), **record.to_json()}
        (place / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        # safetensors' files are their owner's alone.
        (place / WEIGHTS).chmod((place / CONFIG).stat().st_mode)
        (place / CARD).write_text(written(card or Card(), model), encoding="utf-8")


def load(directory: str | os.PathLike[str]) -> Model:
    """Return the model of a published directory; nothing in it is executed.

    Raises `InputError` where a file is missing or damaged, where the weights are not those of the network that
    `config.json` describes, or not the ones it was written with, and where a newer library wrote it.
    """
    place = Path(directory).expanduser()
    config = _config(place)
    try:
        record = Record.from_json({f.name: config[f.name] for f in fields(Record) if f.name in config})
        apply, like = nn.abstract(record.experiment.network, record.shape, record.experiment.compute)
    except InputError as error:
        raise InputError("\n".join(f"{place / CONFIG}: {line}" for line in str(error).splitlines())) from None
    arrays, _ = read_safetensors(place / WEIGHTS)
    names = flatten(like)
    _require_weights(arrays, names, str(place / WEIGHTS))
    if _digest(place / WEIGHTS) != config["sha256"]:
        raise InputError(
            f"{place / WEIGHTS}: not the file that {CONFIG} was written with (another training step, or damaged); "
            "copy or download both again"
        )
    params = jax.tree.unflatten(jax.tree.structure(like), [jnp.asarray(arrays[name]) for name in names])
    return Model(record, apply, params, config["step"])


def _require_readable(record: Record) -> None:
    try:
        Record.from_json(record.to_json())
    except InputError as error:
        advice = "only the library's own components can be published: name one of these"
        raise InputError("\n".join(f"{line}; {advice}" for line in str(error).splitlines())) from None


def _require_weights(arrays: Mapping[str, np.ndarray], names: Mapping[str, Any], what: str) -> None:
    require_match({n: a.shape for n, a in arrays.items()}, {n: a.shape for n, a in names.items()}, what)
    odd = [name for name, array in arrays.items() if array.dtype != names[name].dtype]
    if odd:
        raise InputError(f"{what}: {odd[0]} is {arrays[odd[0]].dtype}; expected {names[odd[0]].dtype}: convert it")


def _config(place: Path) -> dict[str, Any]:
    """Return the data of `config.json` once it is known to be that of a published model."""
    if not place.is_dir():
        raise InputError(f"{place}: no directory there; expected one with {', '.join(FILES)}")
    path = place / CONFIG
    try:
        config = json.loads(ordinary(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; expected a directory with {', '.join(FILES)}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error!s:.200}); copy or download it again") from error
    version = config.get("format_version") if isinstance(config, dict) else None
    if not isinstance(version, int) or not whole(version, 1):
        raise InputError(
            f"{path}: not that of a published model (format_version is {version!r}); publish the run first"
        )
    if version > FORMAT:
        raise InputError(f"{path}: of format {version}, while this library reads {FORMAT}; install a newer sde_jax")
    if not whole(config.get("step"), 0) or not isinstance(config.get("sha256"), str):
        raise InputError(f"{path}: step and sha256 are missing or no such values; copy or download it again")
    return config


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
