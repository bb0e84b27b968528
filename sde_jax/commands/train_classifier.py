"""`sde-jax train-classifier`: a classifier of noisy examples, by which a run's samples can be guided."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sde_jax import classifiers
from sde_jax.classifiers import KIND, NoisyClassification, Told
from sde_jax.commands import settings
from sde_jax.commands.workdir import Workdir
from sde_jax.data import all_shown, fingerprint
from sde_jax.experiment import Experiment
from sde_jax.model import Record
from sde_jax.processes import deferred
from sde_jax.publishing.placed import placed, require_directory
from sde_jax.training.classification import Training, counts


def experiment_of(config: str | None, overrides: Mapping[str, Any], workdir: Path | None) -> Experiment:
    """Return the experiment of a config file with overrides, or of a run."""
    if workdir is not None:
        return Workdir(workdir).read_record().experiment
    return settings.resolve(str(config), overrides)


def run(experiment: Experiment, output: Path, steps: int, width: int, seed: int) -> dict[str, Any]:
    """Train a classifier of x_t on an experiment's data and path; write its directory, as a whole or not at all.

    Returns its facts. Raises `InputError` where `output` holds other things, or examples have no labels.
    """
    require_directory(output, KIND.files)
    splits = experiment.data.open()
    found = counts(splits.train)
    encoding = Record.of(experiment, splits).encoding
    network, label = classifiers.suited(splits, encoding, max(len(splits.classes), len(found)), width)
    told = Told(network, label, experiment.sde)
    training, began = Training(steps=steps, seed=seed), time.monotonic()
    progress = partial(tqdm, desc="train-classifier", unit="step", total=steps, mininterval=1)
    params = classifiers.train(told, encoding, splits, training, progress)
    seconds = time.monotonic() - began
    about = NoisyClassification(
        *told,
        splits.shape,
        splits.scaling,
        fingerprint(splits.train),
        training,
        splits.levels,
        experiment.data_range,
        splits.classes,
        len(splits.train),
        len(splits.held_out),
        classifiers.accuracy(told, params, encoding, splits),
    )
    with deferred(), placed(output, KIND.files) as place:
        facts = KIND.save(place, about, params)
    return {
        "output": str(output),
        "classifier": type(network).__name__,
        "classes": network.classes,
        **all_shown(splits.classes),
        "largest_class_share": float(found.max() / found.sum()),
        **{name: facts[name] for name in ("training_examples", "held_out_examples", "held_out_accuracy", "sha256")},
        "seconds": seconds,
    }
