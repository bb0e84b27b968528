"""`sde-jax calibrate`: whether a run's posteriors are as uncertain as they should be."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sde_jax.codec import nearest
from sde_jax.commands.held_out import held_out
from sde_jax.commands.restoration.batches import dequantised, posteriors, priors, simulated
from sde_jax.commands.restoration.findings import LEVELS, against, described, fit, pixels_of, ranks, told, write
from sde_jax.commands.restoration.request import Request, Setting
from sde_jax.commands.sample import base, require_files
from sde_jax.commands.tuned import notices, with_tuned
from sde_jax.commands.workdir import Workdir, load
from sde_jax.data import passing
from sde_jax.errors import InputError
from sde_jax.model import Model, Record
from sde_jax.report import calibration_picture

TRUTHS = ("held_out", "model")


def run(
    directory: Path, request: Request, count: int = 200, truth: str = "held_out", output: Path | None = None
) -> dict[str, Any]:
    """Draw the posteriors of simulated measurements; write PNG, NPZ and JSON; return what the JSON says.

    truth: "held_out" measures the first `count` held-out images, so that the model's own error counts; "model" measures
    samples of the model itself, so that what is off is the method's and the sampler's: simulation-based calibration of
    the whole chain. The files are `calibration_<task>`, `calibration_<task>.model`, or `output`. Raises `InputError`
    for what does not fit the run.
    """
    workdir = Workdir(directory)
    record = with_tuned(workdir, workdir.read_record(), [request.sampler] if request.sampler else [])
    if truth not in TRUTHS:
        raise InputError(f"--truth={truth}: {nearest(truth, TRUTHS)}")
    if count < 2:
        raise InputError(f"--num_examples={count}: expected 2 or more")
    setting = request.setting(record)
    levels = _held_out(record, count) if truth == "held_out" else None
    name = f"calibration_{request.task}" + (".model" if truth == "model" else "")
    target = require_files(workdir, base(directory, name, output))
    model = load(workdir, request.average)
    truths = _truths(model, setting, request, count, levels)
    measurements = simulated(setting, request.seed, np.arange(count), truths)
    ensemble, seconds = posteriors(model, setting, request, measurements)
    facts = {
        **described(model, setting, request, ensemble, seconds),
        **pixels_of(measurements),
        "truth": truth,
        "num_examples": count,
        **against(truths, setting, ensemble),
        "residual_chi_square": told(fit(measurements, ensemble)),
        **ranks(truths, setting, measurements, ensemble),
    }
    facts["warnings"] += notices(workdir, request.sampler, model.step)
    arrays = {"members": np.asarray(ensemble.members), "truth": truths, "measurement": np.asarray(measurements.value)}
    write(workdir, target, _shown(facts), arrays, facts)
    return facts


def table(facts: dict[str, Any]) -> str:
    """Return the numbers as lines."""
    lines = [("truths", f"{facts['num_examples']}, {facts['truth']}"), ("members", facts["num_samples"])]
    lines += [("task", facts["task"]), ("method", facts["method"])]
    lines += [("pixels known, hidden", f"{facts['known_pixels']:,}, {facts['hidden_pixels']:,}")]
    for level in LEVELS:
        lines.append((f"{100 * level:g}% intervals hold", _percent(facts["coverage"][f"{level:g}"])))
    lines += [("spread / skill", _plus(facts["spread_skill_ratio"])), ("crps", _plus(facts["crps"]))]
    lines += [("residual chi-square", _plus(facts["residual_chi_square"]))]
    lines += [("ranks uniform, p", _p(facts["ranks"]))]
    lines += [(f"  {name}, p", _p(found)) for name, found in facts["quantities"].items()]
    lines += [("evaluations a sample", f"{facts['function_evaluations']:g}")]
    lines += [("samples a second", f"{facts['samples_per_second']:.3g}")]
    lines += [("note", warning) for warning in facts["warnings"]]
    return "\n".join(f"{name:<28} {value}" for name, value in lines)


def _held_out(record: Record, count: int) -> np.ndarray:
    source, _ = held_out(record)
    if len(source) < count:
        raise InputError(f"--num_examples={count}: this run's data hold out {len(source)}; or take --truth model")
    ((batch, _),) = passing(source, count, last=count)
    return np.asarray(batch["data"])


def _truths(model: Model, setting: Setting, request: Request, count: int, levels: np.ndarray | None) -> np.ndarray:
    if levels is None:
        return priors(model, setting, request, count)
    return dequantised(model.record, request.seed, np.arange(count), levels)


def _shown(facts: dict[str, Any]) -> Image.Image:
    shares = [(level, facts["coverage"][f"{level:g}"]) for level in LEVELS]
    return calibration_picture(
        [(level, found["value"], found["standard_error"] or 0.0) for level, found in shares],
        facts["ranks"]["histogram"],
        {name: found["histogram"] for name, found in facts["quantities"].items()},
        [f"{facts['task']} of {facts['num_examples']} {facts['truth']} truths, {facts['method']}", *facts["warnings"]],
    )


def _plus(found: dict[str, float | None], scale: float = 1.0) -> str:
    error = found["standard_error"]
    return f"{scale * (found['value'] or 0):.4g}" + (f" ± {scale * error:.2g}" if error is not None else "")


def _percent(found: dict[str, float | None]) -> str:
    return f"{_plus(found, 100)}%"


def _p(found: dict[str, Any]) -> str:
    return f"{found['p_value']:.3g} (chi-square {found['chi_square']:.3g} of {found['degrees']})"
