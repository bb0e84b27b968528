"""`sde-jax restore`: what an image may have been, given what was measured of it."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax import processes
from sde_jax.commands.pictures import as_bytes
from sde_jax.commands.restoration.batches import dequantised, posteriors, simulated
from sde_jax.commands.restoration.files import levels_of
from sde_jax.commands.restoration.findings import against, described, finite, fit
from sde_jax.commands.restoration.request import Request, Setting
from sde_jax.commands.sample import ENDINGS, save_arrays
from sde_jax.commands.workdir import Workdir, load
from sde_jax.ensembles import Ensemble
from sde_jax.errors import InputError
from sde_jax.likelihood import Quantization
from sde_jax.measurement import Measurement, Sensors
from sde_jax.model import Model, Record
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
    record = workdir.read_record()
    setting = request.setting(record)
    levels = _clean(record, setting, given, example, simulate)
    if levels is None:
        _require_shape(given, setting, record)
    model = load(workdir, request.average)
    truth = None if levels is None else dequantised(model, request.seed, np.zeros(1, int), levels[None])
    if truth is None:
        measurement = measured(record, setting, given)
        measurement.require(record.shape)
        batch = jax.tree.map(lambda leaf: np.asarray(leaf)[None], measurement)
    else:
        batch = simulated(setting, request.seed, np.zeros(1, int), truth)
    ensemble, seconds = posteriors(model, setting, request, batch)
    facts = described(model, setting, request, ensemble, seconds)
    facts |= {} if example is None else {"example": example}
    facts |= {"residual_chi_square": finite(fit(batch, ensemble).value), "deviation": float(ensemble.deviation.mean())}
    facts |= {} if truth is None else {"against_truth": against(truth, setting, ensemble)}
    _write(workdir, base(directory, f"restored_{request.task}", output), model, setting, batch, ensemble, levels, facts)
    return facts


def base(directory: Path, name: str, output: Path | None) -> Path:
    """Return the files to write, without their ending: `output`'s is left out, and it may be a folder."""
    if output is None or output.is_dir():
        return (output or directory) / name
    return output.with_suffix("") if output.suffix in ENDINGS else output


def _clean(
    record: Record, setting: Setting, given: Path | None, example: int | None, simulate: bool
) -> np.ndarray | None:
    """Return the clean image in whole levels, None where a measurement is given."""
    if (given is None) == (example is None) and not (given is None and setting.task.values is not None):
        raise InputError("expected --input FILE or --example N, one of them")
    if example is not None:
        source = record.experiment.data.open().held_out
        if not 0 <= example < len(source):
            raise InputError(f"--example={example}: this run's data hold out {len(source)} examples, from 0 on")
        return np.asarray(source[example]["data"])
    if not simulate:
        return None
    if given is None:
        raise InputError("--simulate: expected --input FILE, a clean image to be measured")
    assert record.levels is not None
    levels = np.rint(levels_of(given, record.levels))
    if levels.shape != record.shape or not ((levels >= 0) & (levels < record.levels)).all():
        raise InputError(
            f"--input={given}: {levels.shape}: expected a clean image of shape {record.shape}, of levels 0 .. "
            f"{record.levels - 1}"
        )
    return levels.astype(record.encoding.dtype)


def _require_shape(given: Path | None, setting: Setting, record: Record) -> None:
    task = setting.task
    if given is None:
        return
    assert record.levels is not None
    found = levels_of(given, record.levels).shape
    if found != task.measured and not (task.of_whole and found == record.shape):
        whole = f", or {record.shape} of the whole image" if task.of_whole else ""
        raise InputError(
            f"--input={given}: height, width and channels {found}: expected {task.measured}, as this task measures"
            f"{whole}; or, of a clean image, --simulate"
        )


def measured(record: Record, setting: Setting, given: Path | None) -> Measurement:
    """Return the measurement in a file, in units of x_0: an image's levels stand for the middles of their cells."""
    task = setting.task
    assert record.levels is not None
    levels = task.values if given is None else levels_of(given, record.levels)
    assert levels is not None
    cells = _cells(record)
    value = cells.low + cells.cell * (jnp.asarray(levels, float) + 0.5)
    if value.shape != task.measured:
        value = task.operator(value)
    return Measurement(task.operator, jnp.where(task.observed, value, jnp.nan), setting.noise)


def _cells(record: Record) -> Quantization:
    assert isinstance(record.encoding, Quantization)
    return record.encoding


def _write(
    workdir: Workdir,
    output: Path,
    model: Model,
    setting: Setting,
    batch: Measurement,
    ensemble: Ensemble,
    truth: np.ndarray | None,
    facts: dict[str, Any],
) -> None:
    record, value = model.record, np.asarray(batch.value)[0]
    arrays = {
        "members": np.asarray(ensemble.members)[0],
        "samples": np.asarray(record.encoding.values(np.asarray(ensemble.members)[0])),
        "mean": ensemble.mean[0],
        "deviation": ensemble.deviation[0],
        "measurement": value,
        **({} if truth is None else {"truth": truth}),
    }
    image = restoration_picture(
        *_seen(record, setting, value),
        as_bytes(arrays["samples"], record),
        as_bytes(np.asarray(record.encoding.values(arrays["mean"])), record),
        np.sqrt(np.mean(arrays["deviation"] ** 2, -1)) / _cells(record).cell,
        None if truth is None else as_bytes(truth, record),
        remarks=[f"{facts['task']}, {facts['method']}, noise {facts['noise']:g} of x_0", *facts["warnings"]],
    )
    target = output.absolute()
    with processes.deferred():
        workdir.write(f"{target}.npz", lambda file: save_arrays(file, arrays))
        workdir.write(f"{target}.png", lambda file: image.save(file, format="png"))
        workdir.write_json(f"{target}.json", facts)


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
