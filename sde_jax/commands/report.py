"""`sde-jax report`: one page about a run."""

import os
import platform
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sde_jax.commands import progress
from sde_jax.commands.outcome import NUMBERS, SHOWN, Outcome
from sde_jax.commands.pictures import as_bytes
from sde_jax.commands.preview import last_previews
from sde_jax.commands.side_files import damage_told, facts
from sde_jax.commands.tuned import there
from sde_jax.commands.workdir import Workdir
from sde_jax.data import class_shown
from sde_jax.model import Record
from sde_jax.report import Report, evaluation_summary, render
from sde_jax.training import read_account, read_books
from sde_jax.version import __version__

SUMMARY = {
    "bits_per_dim": ("bits per dimension", "held-out examples, probability-flow ODE; lower is better"),
    "bits_per_dim_standard_error": ("standard error", "of the mean over held-out examples, bits per dimension"),
    "tolerance_change_rms": (
        "change with the tolerance",
        "of one example, root mean square, at ten times it, of the first ones",
    ),
    "tolerance_change_largest": ("largest such change", "of one example, bits per dimension"),
    "baseline_bits_per_dim": ("Gaussian mixture", "the baseline on the same examples, bits per dimension"),
    "train_steps": ("training steps", "updates of the parameters"),
    "train_seconds": ("training seconds", "wall time, without what came before the first and steps made again"),
    "likelihood_function_evaluations": ("evaluations, likelihood", "network calls an example, each with tangents"),
}
SAMPLER_SUMMARY = {
    "function_evaluations": ("evaluations, {}", "network calls a sample"),
    "samples_per_second": ("samples/s, {}", "without compilation"),
}

CLASSES = 20
"""How many classes a caption names."""
PREVIEWS = 6
"""How many of the last previews a report shows."""
PRIVATE = ("function_evaluations", "num_examples", "seed", "seconds", "settings")
"""What `likelihood.json` says that is not the run's own result."""


def run(directory: Path, output: Path | None = None) -> Path:
    """Write `report.html` of a run's directory (or `output`) from what the other commands left; return its path."""
    outcome = Outcome(Workdir(directory))
    with damage_told(directory):
        page = render(contents(outcome))
    target = output or directory / "report.html"
    outcome.workdir.write(str(target.absolute()), lambda file: file.write_text(page, encoding="utf-8"))
    return target


def contents(outcome: Outcome) -> Report:
    """Return what there is to tell about a run."""
    workdir, record, likelihood = outcome.workdir, outcome.record, outcome.likelihood
    evaluations = [asdict(row) for row in outcome.evaluation.rows]
    films = [drawn for drawn in outcome.samples.values() if "trajectory" in drawn] if record.is_image else []
    return Report(
        title=outcome.name,
        summary=[*summary(results(workdir)), *evaluation_summary(evaluations)],
        config={**record.experiment.to_json(), **classes(record)},
        curve=progress.curve(outcome.rows),
        level_losses=progress.level_losses(outcome.rows, record.experiment.sde),
        time=progress.times(outcome.account),
        progress=progress.progress(outcome.rows, outcome.history, outcome.account),
        previews={f"step {step:,}": picture for step, picture in last_previews(workdir, PREVIEWS).items()},
        restorations=outcome.restorations,
        noise_levels=(likelihood["log_snr"], likelihood["noise_level_loss"]) if likelihood else None,
        grids={f"sampler {name}{_drawn_of(outcome, name)}": images for name, images in outcome.grids.items()},
        points={f"sampler {name}": pair for name, pair in outcome.points.items()},
        columns=outcome.columns,
        trajectory=as_bytes(films[0]["trajectory"], record) if films else None,
        trajectory_times=films[0]["trajectory_times"] if films else None,
        bits_per_dim=likelihood.get("bits_per_dim"),
        passes=outcome.scores.get("passes") if likelihood else None,
        bound_bits_per_dim=outcome.bound if likelihood else None,
        baseline_bits_per_dim=outcome.baseline.get("bits_per_dim") if likelihood else None,
        evaluations=evaluations,
        neighbours=outcome.neighbours,
        memorisation=outcome.memorisation,
        environment=environment(),
    )


def results(workdir: Workdir) -> dict[str, Any]:
    """Return all numbers that the commands left in a run's directory.

    `samplers` has those of every sampler by its name; the first that the config names stands for all at the top.
    """
    names = [*workdir.read_record().experiment.samplers, *there(workdir)]
    made = {name: facts(workdir.path / f"samples_{name}.json", NUMBERS) for name in names}
    samplers = {name: {key: of[key] for key in SAMPLER_SUMMARY if key in of} for name, of in made.items() if of}
    scores, baseline = (facts(workdir.path / f"{name}.json", NUMBERS) for name in ("likelihood", "baseline"))
    rows, account = read_books(workdir.path), read_account(workdir.path)
    seconds = account.wall - account.seconds["start"] - account.lost
    return {
        **{k: v for k, v in scores.items() if k not in PRIVATE},
        **(
            {"likelihood_function_evaluations": scores["function_evaluations"]}
            if "function_evaluations" in scores
            else {}
        ),
        **baseline,
        **({"train_steps": int(rows[-1]["step"]), "train_seconds": seconds} if rows else {}),
        **next(iter(samplers.values()), {}),
        "samplers": samplers,
    }


def classes(record: Record) -> dict[str, dict[str, str]]:
    """Return the names of the classes by their indices, where classes have names."""
    return {"classes": {str(index): name for index, name in enumerate(record.classes)}} if record.classes else {}


def _drawn_of(outcome: Outcome, sampler: str) -> str:
    """Return the labels that the first samples of a sampler were drawn of, in their order."""
    labels = dict.fromkeys(outcome.samples[sampler].get("labels", np.zeros(0, int))[:SHOWN].tolist())
    shown = ", ".join(class_shown(label, outcome.record.classes) for label in list(labels)[:CLASSES])
    return f"; classes in turn {shown}{', ...' if len(labels) > CLASSES else ''}" if labels else ""


def summary(numbers: dict[str, Any]) -> list[tuple[str, Any, str]]:
    """Return the rows (name, value, explanation) that open the page."""
    rows = [(name, numbers.get(key), text) for key, (name, text) in SUMMARY.items()]
    for sampler, made in numbers["samplers"].items():
        rows += [(name.format(sampler), made.get(key), text) for key, (name, text) in SAMPLER_SUMMARY.items()]
    return [row for row in rows if row[1] is not None]


def environment() -> dict[str, str]:
    """Return versions and devices."""
    packages = (
        "jax",
        "jaxlib",
        "flax",
        "optax",
        "diffrax",
        "orbax-checkpoint",
        "grain",
        "tensorflow-datasets",
    )
    versions = {name: metadata.version(name) for name in packages}
    devices = f"{jax.device_count()} x {jax.devices()[0].device_kind}"
    machine = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"
    return {
        "sde_jax": __version__,
        "python": platform.python_version(),
        **versions,
        "machine": machine,
        "devices": devices,
    }
