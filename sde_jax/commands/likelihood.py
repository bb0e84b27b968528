"""`sde-jax likelihood`: held-out data in bits per dimension."""

import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec
from tqdm import tqdm

from sde_jax import processes
from sde_jax.codec import encode
from sde_jax.commands.held_out import held_out
from sde_jax.commands.sample import save_arrays
from sde_jax.commands.workdir import Workdir, failures_reported, load
from sde_jax.data import Source, passing
from sde_jax.errors import InputError
from sde_jax.experiment import Scoring
from sde_jax.likelihood import BLURRED, BitsPerDim, bits_per_dim, bits_per_dims, elbo
from sde_jax.model import Model, Record
from sde_jax.objective import Simple, by_noise_level, log_snr_range
from sde_jax.ode import Tolerance, rowwise
from sde_jax.training import by_example
from sde_jax.typing import Array, Denoiser, Key, Params

NOISE_LEVELS = 24
COARSER, COMPARED = 10.0, 32
"""How much coarser the tolerance is to which scores are compared, and of how many images: all would cost a third more.
"""
GIVEN = 8
"""How many `batch_size`s of images a program is given at most: its last lanes have nothing to do for a part of this."""


class Scores(NamedTuple):
    """One number an image, averaged over the passes: bits per dimension, the trace estimate's standard error in it,
    evaluations, and the blur (`LogLikelihood`)."""

    bits: np.ndarray
    trace_error: np.ndarray
    evaluations: np.ndarray
    blur: np.ndarray = np.zeros(1)


def run(
    directory: Path, limit: int | None, seed: int, compared: int = COMPARED, average: str | None = None
) -> dict[str, Any]:
    """Score the held-out images of a run (the first `limit`, or all); write JSON and NPZ; return what the JSON says.

    The standard error is that of the mean over images. `tolerance_change` is how much the figure moves when the
    solver's tolerance is `COARSER` times coarser, on the same draws, and how much its images do, by root mean square
    and at most: measured on the first `compared` images, `tolerance_examples` in the JSON; 0: not measured. `blur` is
    how much of x at the start is noise to the model; the variational bound is given where the config asks for it. The
    files are `likelihood`, or `likelihood.<average>` where an average is named. Raises `RunError` where the solver does
    not reach its tolerance.
    """
    workdir, name = Workdir(directory), f"likelihood.{average}" if average else "likelihood"
    settings = (record := _record(workdir, limit)).experiment.likelihood
    workdir.require_places(f"{name}.npz", f"{name}.json")
    model = load(workdir, average)
    source, doubts = held_out(record)
    total = len(source) if limit is None else min(limit, len(source))
    if not total:
        raise InputError(f"{directory}: its data hold nothing out to score; see config.data")
    began = time.monotonic()
    with failures_reported():
        fine = score(model, source, total, seed, by_flow(model, settings.tolerance))
        seconds = time.monotonic() - began
        rough = _rough(model, source, min(total, compared), seed)
        bounds = score(model, source, total, seed, by_elbo(model)).bits if settings.elbo_strata else None
    _warn(fine.blur, settings)
    levels = noise_levels(model, source, min(total, 1024), seed)
    facts = {
        **_summary(fine, rough, settings),
        **({} if bounds is None else _mean("elbo_bits_per_dim", bounds)),
        "num_examples": limit,
        "checkpoint_step": model.step,
        **({"average": average} if average else {}),
        "seed": seed,
        "seconds": seconds,
        **({"warnings": doubts} if doubts else {}),
    }
    _write(workdir, name, _arrays(fine, *levels), facts)
    return facts


def _record(workdir: Workdir, limit: int | None) -> Record:
    """Return the run's record; raises `InputError` where what is asked cannot be computed of such a run."""
    record = workdir.read_record()
    if strata := record.experiment.likelihood.elbo_strata:
        record.experiment.objective.require_score(f"config.likelihood.elbo_strata = {strata}")
    if limit is not None and limit < 1:
        raise InputError(f"--num_examples={limit}: expected 1 or more")
    return record


def _warn(blur: np.ndarray, settings: Scoring) -> None:
    """Say on standard error where sigma at the start is not small beside the data."""
    if (mean := float(np.mean(blur))) > BLURRED:
        print(
            f"sde-jax: likelihood.start = {settings.start:g}: noise of mean square {mean:.2g} is found in the data "
            f"there: expected below {BLURRED:g}; these are bits of noisier data; start earlier",
            file=sys.stderr,
        )


def _write(workdir: Workdir, name: str, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    with processes.deferred():
        workdir.write(f"{name}.npz", lambda file: save_arrays(file, arrays))
        workdir.write_json(f"{name}.json", facts)


def _arrays(scores: Scores, log_snr: np.ndarray, losses: np.ndarray) -> dict[str, np.ndarray]:
    images = {"bits_per_dim": scores.bits, "trace_error": scores.trace_error}
    return {**images, "log_snr": log_snr, "noise_level_loss": losses}


def _rough(model: Model, source: Source, total: int, seed: int) -> np.ndarray:
    """Return the bits per dimension of the first images at the coarser tolerance."""
    fine = model.record.experiment.likelihood.tolerance
    coarser = Tolerance(fine.rtol * COARSER, fine.atol * COARSER, fine.max_steps)
    return score(model, source, total, seed, by_flow(model, coarser)).bits if total else np.zeros(0)


def _summary(fine: Scores, rough: np.ndarray, settings: Scoring) -> dict[str, Any]:
    return {
        **_mean("bits_per_dim", fine.bits),
        **_changes(rough - fine.bits[: len(rough)]),
        "rtol": settings.tolerance.rtol,
        "atol": settings.tolerance.atol,
        "function_evaluations": float(np.mean(fine.evaluations)),
        "blur": float(np.mean(fine.blur)),
        "images": len(fine.bits),
        "passes": settings.passes,
        "settings": encode(settings),
    }


def _changes(changes: np.ndarray) -> dict[str, float]:
    """Return the mean of the images' changes, in which they cancel, their root mean square, the largest in size, and
    how many they are; none of these for no changes.
    """
    if not len(changes):
        return {}
    rms, largest = np.sqrt(np.mean(changes**2)), np.max(np.abs(changes))
    found = {"": np.mean(changes), "_rms": rms, "_largest": largest}
    found = {f"tolerance_change{name}": float(value) for name, value in found.items()}
    return {**found, "tolerance_examples": len(changes)}


def _mean(name: str, bits: np.ndarray) -> dict[str, float | None]:
    error = float(np.std(bits, ddof=1) / np.sqrt(len(bits))) if len(bits) > 1 else None
    return {name: float(np.mean(bits)), f"{name}_standard_error": error}


class Rule(NamedTuple):
    """How images are scored, [n] at a time, and what to call it while that goes on."""

    name: str
    bits: Callable[[Key, Denoiser, Array], BitsPerDim]


def by_flow(model: Model, tolerance: Tolerance) -> Rule:
    """Return the rule of the probability flow, solved to a tolerance."""
    experiment, encoding = model.record.experiment, model.record.encoding
    settings = experiment.likelihood
    rule = partial(
        bits_per_dims,
        lanes=_lanes(model),
        divergence=settings.divergence,
        tolerance=tolerance,
        solver=settings.solver,
        start=settings.start,
        dequantizer=settings.dequantizer,
    )
    return Rule(f"likelihood, rtol {tolerance.rtol:g}", lambda k, d, x: rule(k, experiment.sde, d, x, encoding))


def by_elbo(model: Model) -> Rule:
    """Return the rule of the variational bound."""
    experiment, encoding = model.record.experiment, model.record.encoding
    settings, sde = experiment.likelihood, experiment.sde
    bound = partial(elbo, strata=settings.elbo_strata)
    rule = partial(bits_per_dim, bound=bound, start=settings.start, dequantizer=settings.dequantizer)

    def bits(keys: Key, denoise: Denoiser, data: Array) -> BitsPerDim:
        return rowwise(lambda row: rule(row[0], sde, denoise, row[1], encoding), (keys, data), _lanes(model))

    return Rule("variational bound", bits)


def _lanes(model: Model) -> int:
    """Return how many images a device scores at once."""
    return -(-model.record.experiment.likelihood.batch_size // model.record.mesh().size)


def rows_of(model: Model, total: int) -> int:
    """Return how many of `total` images a program is given: some `batch_size`s of them, for all devices alike."""
    devices = model.record.mesh().size
    programs = -(-total // (GIVEN * model.record.experiment.likelihood.batch_size))
    return -(-total // (programs * devices)) * devices


class Scorer:
    """A rule, compiled once for all parameters and batches of one size.

    An example is scored with the randomness of the seed, the pass and its index: nothing else changes its score. Every
    device scores its share of a batch by itself.
    """

    def __init__(self, model: Model, seed: int, rule: Rule):
        def share(params: Params, pass_: Array, index: Array, data: Array) -> BitsPerDim:
            key = jax.random.fold_in(jax.random.key(seed), pass_)
            keys = jax.vmap(lambda index: jax.random.fold_in(key, index))(index)
            return rule.bits(keys, model.denoiser(params), data)

        mesh = model.record.mesh()
        self._passes = model.record.experiment.likelihood.passes
        self._sharding = by_example(mesh)
        rows, whole = self._sharding.spec, PartitionSpec()
        specs = {"in_specs": (whole, whole, rows, rows), "out_specs": rows, "check_vma": False}
        self._batched = jax.jit(jax.shard_map(share, mesh=mesh, **specs))

    def __call__(self, params: Params, batch: Mapping[str, np.ndarray]) -> Scores:
        """Return the scores of a batch, whole on every process; its rows are a multiple of the devices."""
        examples = jax.device_put((batch["index"], batch["data"]), self._sharding)
        draws = [processes.on_host(self._batched(params, pass_, *examples)) for pass_ in range(self._passes)]
        bits, error, evaluations, blur = (np.stack(column) for column in zip(*draws, strict=True))
        return Scores(bits.mean(0), np.sqrt(np.mean(error**2, 0) / self._passes), evaluations.mean(0), blur.mean(0))


def score(model: Model, source: Source, total: int, seed: int, rule: Rule) -> Scores:
    """Return the scores of the first `total` examples of a source, every one counted once a pass."""
    scorer, parts = Scorer(model, seed, rule), []
    with tqdm(total=total, desc=rule.name, unit="example", disable=not processes.is_first()) as bar:
        for batch, count in passing(source, rows_of(model, total), last=total):
            parts.append([column[:count] for column in scorer(model.params, batch)])
            bar.update(count)
    return Scores(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def noise_levels(model: Model, source: Source, total: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (ln(alpha^2 / sigma^2), mean squared error of epsilon), evenly in the former, on held-out images."""
    experiment = model.record.experiment
    images = np.concatenate([batch["data"][:count] for batch, count in passing(source, min(total, 256), last=total)])
    half_log_snr = jnp.linspace(*log_snr_range(experiment.sde, experiment.likelihood.start), NOISE_LEVELS)
    times = jax.vmap(experiment.sde.time_of)(half_log_snr)
    first, second = jax.random.split(jax.random.key(seed))

    @jax.jit
    def losses(params: Params) -> Array:
        x0, _ = model.record.encoding.draw(first, images)
        return by_noise_level(second, experiment.sde, model.denoiser(params), x0, times, Simple())

    return 2 * np.asarray(half_log_snr), processes.on_host(losses(model.params))
