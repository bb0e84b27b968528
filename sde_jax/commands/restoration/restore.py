"""`sde-jax restore`: what an image may have been, given what was measured of it."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from sde_jax.commands.held_out import held_out
from sde_jax.commands.pictures import as_bytes
from sde_jax.commands.restoration.batches import dequantised, posteriors, simulated
from sde_jax.commands.restoration.files import levels_of
from sde_jax.commands.restoration.findings import against, cells_of, described, finite, fit, pixels_of, write
from sde_jax.commands.restoration.request import Request, Setting
from sde_jax.commands.sample import base, require_files
from sde_jax.commands.tuned import notices, with_tuned
from sde_jax.commands.workdir import Workdir, load
from sde_jax.ensembles import Ensemble
from sde_jax.errors import InputError
from sde_jax.measurement import Measurement, Sensors
from sde_jax.model import Record
from sde_jax.report import restoration_picture


def run(
    directory: Path,
    request: Request,
    given: Path | None = None,
    example: int | None = None,
    simulate: bool = False,
    output: Path | None = None,
) -> dict[str, Any]:
    """Draw samples of what an image may have been; write PNG, NPZ and JSON; return what the JSON says.

    given: the measurement, or with `simulate` a clean image, to be measured; example: the number of a held-out image to
    be measured instead. Where the truth is known samples are compared with it. The files are `restored_<task>` in the
    run's directory, or `output`. Raises `InputError` for what does not fit the run.
    """
    workdir = Workdir(directory)
    record = with_tuned(workdir, workdir.read_record(), [request.sampler] if request.sampler else [])
    setting = request.setting(record)
    if (given is None) == (example is None) and (example is not None or setting.task.values is None or simulate):
        raise InputError("expected --input FILE or --example N, one of them")
    clean = _clean(record, given, example, simulate)
    index = np.zeros(1, int)
    if clean is None:
        truth, batch = None, jax.tree.map(lambda leaf: np.asarray(leaf)[None], measured(record, setting, given))
    else:
        truth = dequantised(record, request.seed, index, clean[None])
        batch = simulated(setting, request.seed, index, truth)
    target = require_files(workdir, base(directory, f"restored_{request.task}", output))
    model = load(workdir, request.average)
    ensemble, seconds = posteriors(model, setting, request, batch)
    facts = described(model, setting, request, ensemble, seconds)
    facts["warnings"] += notices(workdir, request.sampler, model.step)
    facts |= pixels_of(batch)
    facts |= {} if example is None else {"example": example}
    facts |= {"residual_chi_square": finite(fit(batch, ensemble).value), "deviation": float(ensemble.deviation.mean())}
    facts |= {} if truth is None else {"against_truth": against(truth, setting, ensemble)}
    image, arrays = _shown(record, setting, batch, ensemble, clean, facts)
    write(workdir, target, image, arrays, facts)
    return facts


def _clean(record: Record, given: Path | None, example: int | None, simulate: bool) -> np.ndarray | None:
    """Return the clean image in whole levels, None where a measurement is given."""
    if example is not None:
        source, _ = held_out(record)
        if not 0 <= example < len(source):
            raise InputError(f"--example={example}: this run's data hold out {len(source)} examples, from 0 on")
        return np.asarray(source[example]["data"])
    if not simulate or given is None:
        return None
    cells = cells_of(record)
    levels = np.rint(levels_of(given, cells.levels))
    if levels.shape != record.shape or not ((levels >= 0) & (levels < cells.levels)).all():
        raise InputError(
            f"--input={given}: {levels.shape}: expected a clean image of shape {record.shape}, of levels 0 .. "
            f"{cells.levels - 1}"
        )
    return levels.astype(cells.dtype)


def measured(record: Record, setting: Setting, given: Path | None) -> Measurement:
    """Return the measurement in a file, in units of x_0: an image's levels stand for the middles of their cells.

    Without a file the task's own values are the measurement. Raises `InputError` for another shape than is measured.
    """
    task, cells = setting.task, cells_of(record)
    levels = task.values if given is None else levels_of(given, cells.levels)
    value = cells.low + cells.cell * (jnp.asarray(levels, float) + 0.5)
    if value.shape != task.measured:
        if not (task.of_whole and value.shape == record.shape):
            whole = f", or {record.shape} of the whole image" if task.of_whole else ""
            turned = value.ndim == 3 and (*value.shape[1:], value.shape[0]) in (task.measured, record.shape)
            whole += ", channels last" if turned else ""
            raise InputError(
                f"--input={given}: height, width and channels {value.shape}: expected {task.measured}, as this task "
                f"measures{whole}; or, of a clean image, --simulate"
            )
        value = task.operator(value)
    found = Measurement(task.operator, jnp.where(task.observed, value, jnp.nan), setting.noise)
    found.require(record.shape)
    return found


def _shown(
    record: Record,
    setting: Setting,
    batch: Measurement,
    ensemble: Ensemble,
    truth: np.ndarray | None,
    facts: dict[str, Any],
) -> tuple[Image.Image, dict[str, np.ndarray]]:
    """Return the picture and the arrays: of samples and truth in levels, of all else in units of x_0."""
    values, members = record.encoding.values, np.asarray(ensemble.members)[0]
    arrays = {
        "members": members,
        "samples": np.asarray(values(jnp.asarray(members))),
        "mean": ensemble.mean[0],
        "deviation": ensemble.deviation[0],
        "measurement": np.asarray(batch.value)[0],
        **({} if truth is None else {"truth": truth}),
    }
    image = restoration_picture(
        *_seen(record, setting, arrays["measurement"]),
        as_bytes(arrays["samples"], record),
        as_bytes(np.asarray(values(jnp.asarray(arrays["mean"]))), record),
        np.sqrt(np.mean(arrays["deviation"] ** 2, -1)) / cells_of(record).cell,
        None if truth is None else as_bytes(truth, record),
        [f"{facts['task']}, {facts['method']}, noise {facts['noise']:g} of x_0", *facts["warnings"]],
    )
    return image, arrays


def _seen(record: Record, setting: Setting, value: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a measurement as an image, uint8, and which of its pixels are known: sensors as the pixels nearest."""
    operator = setting.task.operator
    if isinstance(operator, Sensors):
        row, column = np.rint(np.asarray(operator.positions)).astype(int).T
        image = np.full(record.shape, np.nan, np.float32)
        image[row, column] = value
        value = image
    known = ~np.any(np.isnan(value), -1, keepdims=True)[..., 0]
    return as_bytes(np.asarray(record.encoding.values(jnp.nan_to_num(value))), record), known
