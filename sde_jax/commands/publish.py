"""`sde-jax publish`: a run's newest model as a directory that anyone can load, and on the hub."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from sde_jax import publishing
from sde_jax.commands.outcome import NUMBERS
from sde_jax.commands.report import results, summary
from sde_jax.commands.side_files import damage_told, facts
from sde_jax.commands.tuned import of_step, there, with_tuned
from sde_jax.commands.workdir import Workdir, load
from sde_jax.publishing.placed import require_directory

LEFT_OUT = ("train_steps", "train_seconds", "samples_per_second")
"""What the card says already, and what says as much of the machine as of the model."""


def run(directory: Path, output: Path, license: str, repository: str | None = None) -> str | None:
    """Write the model of a run's newest checkpoint, and push it where asked; return the commit's address, if any.

    The card has what the run's other commands measured on this very checkpoint, and the model has the samplers that
    were tuned to it. Raises `InputError` as
    `publishing.save` and `publishing.push` do.
    """
    workdir = Workdir(directory)
    title = directory.absolute().name
    card = publishing.Card(license=license, title=title, repository=repository or "")  # a wrong one stops all
    require_directory(output, publishing.FILES)
    model = load(workdir)
    tuned = with_tuned(workdir, model.record, [name for name in there(workdir) if of_step(workdir, name, model.step)])
    model = replace(model, record=tuned)
    with damage_told(directory):
        numbers = summary(measured(workdir, model.step))
    publishing.save(output, model, replace(card, numbers=numbers))
    return publishing.push(output, repository) if repository else None


def measured(workdir: Workdir, step: int) -> dict[str, Any]:
    """Return the numbers of `report.results` that a card has: those of the checkpoint at `step`."""
    numbers = {name: value for name, value in results(workdir).items() if name not in LEFT_OUT}
    of_step = {name for name in numbers["samplers"] if _step(workdir, f"samples_{name}.json") == step}
    numbers["samplers"] = {
        name: {key: value for key, value in made.items() if key not in LEFT_OUT}
        for name, made in numbers["samplers"].items()
        if name in of_step
    }
    if _step(workdir, "likelihood.json") == step:
        return numbers
    scores = facts(workdir.path / "likelihood.json", NUMBERS)
    return {name: value for name, value in numbers.items() if name not in {*scores, "likelihood_function_evaluations"}}


def _step(workdir: Workdir, name: str) -> int | None:
    return facts(workdir.path / name, NUMBERS).get("checkpoint_step")
