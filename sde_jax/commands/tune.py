"""`sde-jax tune`: samplers of few evaluations for a run's newest model, tuned to its own fine solution."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from sde_jax.commands.evaluate.basis import Basis
from sde_jax.commands.evaluate.request import Request
from sde_jax.commands.samplers import named
from sde_jax.commands.tuned import NAME, Found, file_of, written
from sde_jax.commands.workdir import Workdir, load
from sde_jax.errors import InputError, shown
from sde_jax.model import Model, Record
from sde_jax.tuning import STANDARD, Effort, Tuning, tune_given
from sde_jax.typing import Denoiser, Params

NUMBERS = ("ratio", "standard_error", "tested", "published", "reference")


def run(
    directory: Path,
    evaluations: Sequence[int],
    name: str = "tuned",
    effort: Effort = STANDARD,
    end: float = 1e-3,
    seed: int = 0,
    average: str | None = None,
) -> dict[str, Any]:
    """Tune a sampler for each number of evaluations; write `samplers/NAME<n>.json`; return what there is to tell.

    A conditional model is tuned without guidance, over labels as often as `evaluate` draws them. The fit's draws come
    from `seed`. Raises `InputError` as `tuning.tune_given` does, for a name that a sampler has already, and for a
    network that hears what only a degraded example has.
    """
    workdir = Workdir(directory)
    record = workdir.read_record()
    made = {steps: f"{name}{steps}" for steps in evaluations}
    _check(record, name, [*made.values()])
    workdir.require_places(*map(file_of, made.values()))
    model, began = load(workdir, average), time.monotonic()
    labels, law = drawn_labels(record, effort.draws, seed)
    given = () if labels is None else model.conditions(labels)
    denoiser_of = jax.tree_util.Partial(_Denoisers(model), model.params)
    key, told = jax.random.key(seed), lambda line: print(f"tune: {line}", file=sys.stderr, flush=True)
    tunings = tune_given(key, given, model.sde, denoiser_of, record.shape, evaluations, end, effort, told)
    shape = tuple(record.shape)
    for steps, tuning in tunings.items():
        found = Found(tuning, model.step, model.sde, shape, end, seed, effort, average, law)
        written(workdir, made[steps], found)
    return {
        "checkpoint_step": model.step,
        **{made[steps]: _told(tuning) for steps, tuning in tunings.items()},
        "seconds": time.monotonic() - began,
        "warnings": [f"{made[steps]}: {line}" for steps, tuning in tunings.items() for line in doubts(tuning)],
    }


def effort(draws: int, fine_steps: int, batch_size: int) -> Effort:
    """Return what is spent where `draws` are fitted: half as many choose, and twice as many test."""
    return Effort(draws, max(1, draws // 2), 2 * draws, fine_steps, batch_size)


class _Denoisers:
    """(params, condition) -> denoiser of a model's network."""

    def __init__(self, model: Model):
        self._model = model

    def __call__(self, params: Params, condition: Any) -> Denoiser:
        return self._model.denoiser(params, None if isinstance(condition, tuple) and not condition else condition)


def _check(record: Record, name: str, made: Sequence[str]) -> None:
    if not NAME.fullmatch(name):
        raise InputError(f"--name={shown(name)}: expected letters, digits, '_' and '-', which files can have")
    taken = [one for one in made if named(record.experiment, one) is not None]
    if taken:
        raise InputError(f"--name={name}: {taken[0]} is a sampler already; choose another name")
    if "channels" in record.condition.hears():
        raise InputError("this run's network hears a degraded example: expected a prior, whose draws need nothing else")


def drawn_labels(record: Record, count: int, seed: int) -> tuple[np.ndarray | None, str | None]:
    """Return a label for each draw, in an order of chance, and their law; None for a network that hears none."""
    if not record.label_count:
        return None, None
    evaluation = replace(record.experiment.evaluation, num_samples=max(count, 2))
    drawn = replace(record, experiment=replace(record.experiment, evaluation=evaluation))
    labels = Basis(drawn, Request()).sample_labels
    return np.random.default_rng(seed).permutation(labels.labels[:count]), labels.law


def doubts(tuning: Tuning) -> list[str]:
    """Return what to know before a tuned sampler is used, a line each."""
    found = []
    if not tuning.helps:
        found.append(
            f"no better than {tuning.best} ({tuning.ratio:.3g} ± {tuning.standard_error:.2g} of its error on held-out "
            "draws)"
        )
    if tuning.reference > 0.3 * tuning.tested:
        found.append(
            f"its error {tuning.tested:.3g} is near that of the fine solution it was tuned to ({tuning.reference:.2g} "
            "from one in half as many steps): give --fine_steps more"
        )
    return found


def _told(tuning: Tuning) -> str:
    return (
        f"error {tuning.tested:.4g} on held-out draws, {tuning.ratio:.3g} ± {tuning.standard_error:.2g} of the best "
        f"published ({tuning.best}: {tuning.published:.4g})"
    )
