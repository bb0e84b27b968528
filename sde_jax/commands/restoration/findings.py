"""What ensembles say, as JSON-able numbers, and the files they are written to."""

import math
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

from sde_jax import ensembles, processes
from sde_jax.codec import encode
from sde_jax.commands.restoration.request import Request, Setting
from sde_jax.commands.sample import save_arrays
from sde_jax.commands.workdir import Workdir
from sde_jax.ensembles import Ensemble, Estimate
from sde_jax.likelihood import Quantization
from sde_jax.measurement import Measurement
from sde_jax.model import Model, Record

LEVELS = (0.5, 0.8, 0.9, 0.95)
BINS = 8


def described(model: Model, setting: Setting, request: Request, ensemble: Ensemble, seconds: float) -> dict[str, Any]:
    """Return how the samples were drawn, and what must be known of them under `flags` and as `warnings`."""
    flags = ensemble.flags(setting.method, setting.sampler.solver)
    warnings = [*flags.warnings(), *model.record.null_token_warnings()]
    if not setting.task.observed.any():
        warnings.append("nothing is observed: these are samples of the prior")
    return {
        "task": request.task,
        "method": type(setting.method).__name__,
        "sampler": request.sampler or "default",
        "noise": request.noise,
        "settings": {"method": encode(setting.method), "sampler": encode(setting.sampler)},
        **({"average": request.average} if request.average else {}),
        "checkpoint_step": model.step,
        "seed": request.seed,
        "num_samples": request.num_samples,
        "function_evaluations": float(np.mean(ensemble.evaluations)),
        "samples_per_second": np.size(ensemble.evaluations) / seconds,
        "flags": {name: value for name, value in encode(flags).items() if name != "type"},
        "warnings": warnings,
    }


def pixels_of(measurements: Measurement) -> dict[str, int]:
    """Return how many pixels of y are known and how many are hidden, which some channel's NaN says, in each example.

    Of sensors they are the sensors.
    """
    known = ~np.isnan(np.asarray(measurements.value)[0]).any(-1)
    return {"known_pixels": int(known.sum()), "hidden_pixels": int((~known).sum())}


def fit(measurements: Measurement, ensemble: Ensemble) -> Estimate:
    """Return the residual chi-square of y an observed entry, over the samples; 1 is as good as the truth's own."""
    of = jax.vmap(lambda y, members: jax.vmap(partial(ensembles.chi_square_of, y))(members))
    by_example = np.mean(of(measurements, ensemble.members), 1)
    error = np.std(by_example, ddof=1) / len(by_example) ** 0.5 if len(by_example) > 1 else math.nan
    return Estimate(float(np.mean(by_example)), float(error))


def against(truth: np.ndarray, setting: Setting, ensemble: Ensemble) -> dict[str, Any]:
    """Return the diagnostics of ensembles [k, m, ...] against truths [k, ...], over what is unknown."""
    known = truth, np.asarray(ensemble.members)
    where = setting.task.unknown
    spread = ensembles.spread_skill(*known, where)
    return {
        "coverage": {f"{level:g}": told(ensembles.coverage(*known, level, where)) for level in LEVELS},
        "spread": spread.spread,
        "skill": spread.skill,
        "spread_skill_ratio": told(spread.ratio),
        "crps": told(ensembles.crps(*known, where)),
    }


def ranks(truth: np.ndarray, setting: Setting, measurements: Measurement, ensemble: Ensemble) -> dict[str, Any]:
    """Return the histograms of the ranks of pixels, and of test quantities of every example, each with its test."""
    pixels = ensembles.rank_histogram(truth, ensemble.members, BINS, setting.task.unknown)
    of_truth = jax.vmap(ensembles.quantities)(measurements, jnp.asarray(truth))
    of_members = jax.vmap(lambda y, members: jax.vmap(partial(ensembles.quantities, y))(members))
    members = of_members(measurements, ensemble.members)
    tests = {
        name: ensembles.rank_histogram(value, members[name], BINS)
        for name, value in of_truth.items()
        if setting.task.observed.any() or name != "log_likelihood"
    }
    return {"ranks": _tested(pixels), "quantities": {name: _tested(rows) for name, rows in tests.items()}}


def _tested(rows: np.ndarray) -> dict[str, Any]:
    found = ensembles.uniformity(rows)
    return {
        "histogram": rows.sum(0).tolist(),
        "chi_square": finite(found.chi_square),
        "degrees": found.degrees,
        "p_value": finite(found.p_value),
    }


def told(estimate: Estimate) -> dict[str, float | None]:
    """Return an estimate as JSON-able numbers."""
    return {"value": finite(estimate.value), "standard_error": finite(estimate.standard_error)}


def finite(value: float) -> float | None:
    """Return a number, None where there is none."""
    return value if math.isfinite(value) else None


def cells_of(record: Record) -> Quantization:
    """Return the levels of a run's images as cells of its `data_range`."""
    assert isinstance(record.encoding, Quantization)
    return record.encoding


def write(
    workdir: Workdir, output: Path, image: Image.Image, arrays: dict[str, np.ndarray], facts: dict[str, Any]
) -> None:
    """Write PNG, NPZ and JSON, `output` being what their names begin with."""
    target = output.absolute()
    with processes.deferred():
        workdir.write(f"{target}.npz", lambda file: save_arrays(file, arrays))
        workdir.write(f"{target}.png", lambda file: image.save(file, format="png"))
        workdir.write_json(f"{target}.json", facts)
