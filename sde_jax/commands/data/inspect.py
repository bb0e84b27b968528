"""`sde-jax data inspect`: what data are, which noise suits them, and whether anything is wrong."""

import itertools
import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sde_jax.codec import encode
from sde_jax.commands.data.defects import salvaged
from sde_jax.commands.data.image_defects import passed_over
from sde_jax.commands.data.picture import picture
from sde_jax.commands.data.survey import Survey
from sde_jax.commands.data.text import shown
from sde_jax.commands.sample import base
from sde_jax.data import Dataset, Images, Splits, class_shown
from sde_jax.data.diameter import diameter
from sde_jax.errors import InputError

MOST_PRODUCTS = 1e12
"""After so many products, some ten seconds, the search for the largest distance ends, where it need not be exact."""
ENDINGS = (".png", ".json")


def run(dataset: Dataset, exact: bool, output: Path | None, as_json: bool) -> int:
    """Read all of a data set, print what it is, and write a picture and JSON; return 1 where something is wrong, or 0.

    exact: search for the largest distance to the end. The files are those of `place`: none is ever written over. Raises
    `InputError` where nothing can be read, or the files cannot be written.
    """
    name = place(dataset, output)
    problems: list[str] = []
    try:
        splits = dataset.open()
    except InputError as error:
        splits, problems = salvaged(dataset, error)
    found = Survey(splits)
    if not len(found.kept):
        raise InputError("\n".join([*problems, *found.damaged[:5], *found.wild[:5]]) or "the data are empty")
    problems += [*found.damaged, *found.wild, *contradictions(splits, found)]
    facts = {
        "data": encode(dataset),
        **_what(splits, found),
        "noise": noise(splits, found, exact),
        "notes": [
            *_passed_over(dataset),
            *_skipping(dataset, len(found.damaged) + len(splits.left_out)),
            *(f"left out: {line}" for line in splits.left_out if line not in problems),
            *_notes(splits, found),
        ],
        "problems": problems,
        "picture": f"{name}.png",
    }
    _write(name, facts, splits, found)
    print(json.dumps(facts) if as_json else shown(facts))
    return 1 if problems else 0


def place(dataset: Dataset, output: Path | None) -> Path:
    """Return the files to write, without ending: NAME, or the first of NAME_2, NAME_3, ... that is free.

    NAME is `output`, or in the current directory the data's own name with `_inspected`. Raises `InputError` where they
    cannot be written.
    """
    own = next((text for name in ("path", "name") if (text := getattr(dataset, name, ""))), "")
    name = base(Path(), f"{Path(own).name.split('.')[0] or type(dataset).__name__}_inspected", output)
    names = (name.with_name(f"{name.name}_{n}") if n > 1 else name for n in itertools.count(1))
    free = next(name for name in names if not any(os.path.lexists(f"{name}{ending}") for ending in ENDINGS))
    parent = next(folder for folder in free.absolute().parents if os.path.lexists(folder))
    if not (parent.is_dir() and os.access(parent, os.W_OK)):
        raise InputError(f"{free}.png: {parent} is no folder that can be written; choose another --output")
    return free


def _passed_over(dataset: Dataset) -> list[str]:
    return passed_over(dataset) if isinstance(dataset, Images) else []


def _skipping(dataset: Dataset, unreadable: int) -> list[str]:
    """Return how to use images although some cannot be read, in a line, where that is to be asked for."""
    more = isinstance(dataset, Images) and unreadable > dataset.skip
    return [f"--config.data.skip={unreadable} leaves out the images that cannot be read"] if more else []


def _write(name: Path, facts: dict[str, Any], splits: Splits, found: Survey) -> None:
    try:
        name.parent.mkdir(parents=True, exist_ok=True)
        with open(f"{name}.png", "xb") as file:
            picture(splits, found.kept, found.kept_labels).save(file, "png")
        with open(f"{name}.json", "x") as file:
            file.write(json.dumps(facts, indent=2) + "\n")
    except OSError as error:
        raise InputError(f"{name}.png: cannot be written ({error.strerror}); choose another --output") from error


def _what(splits: Splits, found: Survey) -> dict[str, Any]:
    moments = found.moments
    return {
        "examples": {"train": len(splits.train), "held_out": len(splits.held_out)},
        "shape": list(splits.shape),
        "type": found.kept.dtype.name,
        "levels": splits.levels,
        "least": moments.least.tolist(),
        "most": moments.most.tolist(),
        "mean": moments.mean.tolist(),
        "deviation": moments.deviation.tolist(),
        "labels": {split: _named(counts, splits.classes) for split, counts in found.labels.items()},
        "classes": {str(label): name for label, name in enumerate(splits.classes)},
        "turned": found.turned,
        "repeated": found.copies.repeated,
        "held_out_in_train": found.copies.shared,
        "unreadable": len(found.damaged) + len(splits.left_out),
    }


def _named(counts: dict[int, int], classes: tuple[str, ...]) -> dict[str, int]:
    """Return counts by the names of classes; by index and name where several classes have one name."""
    own = [name if classes.count(name) == 1 else class_shown(label, classes) for label, name in enumerate(classes)]
    names = {label: "none" if label < 0 else own[label] if label < len(own) else str(label) for label in counts}
    return {names[label]: counts[label] for label in sorted(counts)}


def noise(splits: Splits, found: Survey, exact: bool) -> dict[str, Any]:
    """Return the sigma_max and sigma_data that suit the data, by the range that x_0 is in.

    sigma_max: the largest distance between two examples (technique 1 of Song & Ermon 2020), within bounds that are
    equal where it is exact. sigma_data: the deviation of all numbers (Karras et al. 2022).
    """
    shift, units = np.array(splits.scaling.shift), np.array(splits.scaling.scale)
    flat = found.kept.reshape(len(found.kept), -1)
    each = np.broadcast_to(units, splits.shape).reshape(-1)
    largest = diameter(flat, each, math.inf if exact else MOST_PRODUCTS)
    ranges = {"x_0": 1.0} if splits.levels is None else {"[0, 1]": 1 / splits.levels, "[-1, 1]": 2 / splits.levels}
    whole = len(found.kept) + len(found.damaged) + len(found.wild) >= len(splits.train)
    return {
        "sigma_max": {name: largest.lower * unit for name, unit in ranges.items()},
        "sigma_max_bound": {name: largest.upper * unit for name, unit in ranges.items()} if whole else None,
        "examples_compared": len(found.kept),
        "sigma_data": {name: found.moments.spread(shift, units) * unit for name, unit in ranges.items()},
    }


def contradictions(splits: Splits, found: Survey) -> Iterator[str]:
    """Yield what makes labels or splits doubtful, a line each."""
    labels = found.labels["train"]
    if labels[-1] and len(labels) > 1:
        yield f"{labels[-1]} of {labels.total()} examples have no label; expected one for each, or none at all"
    if splits.classes:
        missing = [f"{name} (index {label})" for label, name in enumerate(splits.classes) if not labels[label]]
        if missing:
            yield f"no example of {len(missing)} of {len(splits.classes)} classes: {', '.join(missing[:8])}"
    if found.copies.relabelled:
        yield f"{found.copies.relabelled} examples are equal to one of another label"
    if found.copies.shared:
        yield f"{found.copies.shared} held-out examples are trained on too; scores of these mean nothing"


def _notes(splits: Splits, found: Survey) -> Iterator[str]:
    if len(splits.shape) == 2 and splits.levels is not None:
        yield "examples have no axis of channels, and are no pictures; --config.data.axes=hw, if they are grey ones"
    if found.turned:
        yield f"{found.turned} images are turned or mirrored, as the orientation in their metadata says"
    if found.copies.repeated:
        yield f"{found.copies.repeated} examples are equal to an earlier one"
    occurring = np.flatnonzero(found.moments.occurrences)
    if len(occurring) and len(occurring) < len(found.moments.occurrences):
        yield f"{len(occurring)} of {splits.levels} levels occur, from {occurring[0]} to {occurring[-1]}"
    constant = np.flatnonzero(found.moments.least == found.moments.most)
    if len(constant):
        yield f"number {constant[0]} of the last axis is the same in every example"
