"""`sde-jax train-features`: a classifier of the data in use, whose features evaluations can be made with."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sde_jax.commands import settings
from sde_jax.commands.workdir import Workdir
from sde_jax.data import Dataset, all_shown, fingerprint
from sde_jax.features import classification
from sde_jax.features.trained import FILES, NOTE, Classification, save
from sde_jax.processes import deferred
from sde_jax.publishing.placed import placed, require_directory


def dataset(config: str | None, overrides: Mapping[str, Any], workdir: Path | None) -> Dataset:
    """Return the data of a config file with overrides, or of a run."""
    if workdir is not None:
        return Workdir(workdir).read_record().experiment.data
    return settings.resolve(str(config), overrides).data


def run(data: Dataset, output: Path, steps: int, features: int, seed: int) -> dict[str, Any]:
    """Train a classifier on a data set's labels and write its directory, as a whole or not at all; return its facts.

    Raises `InputError` where `output` holds other things, or examples have no labels.
    """
    require_directory(output, FILES)
    splits = data.open()
    counts = classification.counts(splits.train)
    names = splits.classes
    classifier = classification.suited(splits.shape, max(len(names), len(counts)), features)
    training, began = classification.Training(steps=steps, seed=seed), time.monotonic()
    progress = partial(tqdm, desc="train-features", unit="step", total=steps, mininterval=1)
    params = classification.train(classifier, splits, training, progress)
    seconds = time.monotonic() - began
    about = Classification(
        classifier,
        splits.shape,
        classification.units(splits),
        fingerprint(splits.train),
        training,
        splits.levels,
        names,
        len(splits.train),
        len(splits.held_out),
        classification.accuracy(classifier, params, splits),
    )
    with deferred(), placed(output, FILES) as place:
        facts = save(place, about, params)
    return {
        "output": str(output),
        "features": features,
        "classes": len(counts),
        **all_shown(splits.classes),
        "largest_class_share": float(np.max(counts) / np.sum(counts)),
        **{name: facts[name] for name in ("training_examples", "held_out_examples", "held_out_accuracy", "sha256")},
        "seconds": seconds,
        "note": NOTE,
    }
