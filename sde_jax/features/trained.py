"""Features of a classifier that was trained on the data in use, and the directory that holds it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.checkpoints import flatten, read_safetensors, require_match, write_safetensors
from sde_jax.codec import decode, encode
from sde_jax.data import Scaling
from sde_jax.errors import InputError
from sde_jax.features.classification import Training, normalised
from sde_jax.features.reader import Reader
from sde_jax.nn import outline, stateless
from sde_jax.nn.classifiers import Classifier
from sde_jax.typing import Array, Params

WEIGHTS, RECORD = FILES = ("classifier.safetensors", "features.json")
NOTE = "not comparable with published FIDs"
FORMAT = 1


@dataclass(frozen=True)
class Classification:
    """What a classifier is, the data that it was trained on, and what came out.

    data: the fingerprint of the training examples; classes: the names of the labels, where known.
    """

    classifier: Classifier
    shape: tuple[int, ...]
    scaling: Scaling
    data: str
    training: Training = field(default_factory=Training)
    levels: int | None = None
    classes: tuple[str, ...] = ()
    training_examples: int = 0
    held_out_examples: int = 0
    held_out_accuracy: float | None = None


@dataclass(frozen=True)
class Trained:
    """The features of the classifier in a directory of `sde-jax train-features`, and its logits.

    For data like those it was trained on, where Inception-v3's weights or its view of the world are not to be had.
    Distances of these features are not comparable with published FIDs, nor with those of another classifier.
    """

    path: str

    def open(self, shape: tuple[int, ...], levels: int | None) -> Reader:
        """Return the extractor; its name has the first 16 digits of the SHA-256 of the weights.

        Raises `InputError` where there is no classifier, it is damaged, or it is of examples of another kind.
        """
        about, params, digest = load(Path(self.path))
        if (about.shape, about.levels) != (tuple(shape), levels):
            raise InputError(
                f"{self.path}: a classifier of examples of shape {about.shape} with {about.levels} levels; expected "
                f"{tuple(shape)} with {levels}: train one on these data, sde-jax train-features"
            )
        call, _ = stateless(outline(about.classifier, about.shape))

        def read(params: Params, x: Array) -> tuple[Array, Array]:
            features, logits = call(params, normalised(about.scaling, x))
            return features, logits

        return Reader(
            params=jax.tree.map(jnp.asarray, params),
            read=read,
            shape=about.shape,
            size=about.classifier.features,
            name=f"classifier trained on data {about.data[:16]}, sha256 {digest[:16]}",
            protocol=f"(data - {about.scaling.shift}) / {about.scaling.scale}; {NOTE}",
        )


def save(directory: Path, about: Classification, params: Params) -> dict[str, Any]:
    """Write a classifier's two files into a directory; return what the JSON says."""
    write_safetensors(directory / WEIGHTS, {name: np.asarray(a) for name, a in flatten(params).items()})
    facts = {"format": "sde_jax features", "format_version": FORMAT, "note": NOTE}
    facts |= {"sha256": _digest(directory / WEIGHTS), **encode(about)}
    (directory / RECORD).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    # safetensors' files are their owner's alone.
    (directory / WEIGHTS).chmod((directory / RECORD).stat().st_mode)
    return facts


def load(directory: Path) -> tuple[Classification, Params, str]:
    """Return a directory's classifier, its parameters and the SHA-256 of their file; nothing in it is executed.

    Raises `InputError` where a file is missing or damaged, or the weights are not those that the JSON was written with.
    """
    place = directory.expanduser()
    facts = _facts(place / RECORD)
    described = {name: value for name, value in facts.items() if name in Classification.__dataclass_fields__}
    about, problems = decode(Classification, described, where=str(place / RECORD))
    if problems or about is None:
        raise InputError("\n".join(problems) or f"{place / RECORD}: incomplete; train the features again")
    _, like = stateless(outline(about.classifier, about.shape))
    arrays, _ = read_safetensors(place / WEIGHTS)
    found, expected = ({name: a.shape for name, a in tree.items()} for tree in (arrays, flatten(like)))
    require_match(found, expected, str(place / WEIGHTS))
    digest = _digest(place / WEIGHTS)
    if digest != facts["sha256"]:
        raise InputError(f"{place / WEIGHTS}: not the file that {RECORD} was written with; train the features again")
    params = jax.tree.unflatten(jax.tree.structure(like), [arrays[name].astype(np.float32) for name in flatten(like)])
    return about, params, digest


def _facts(path: Path) -> Mapping[str, Any]:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; expected a directory that `sde-jax train-features --output` wrote"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error!s:.200}); train the features again") from error
    if not isinstance(facts, dict) or facts.get("format_version") != FORMAT or "sha256" not in facts:
        raise InputError(f"{path}: not that of trained features of format {FORMAT}; train the features again")
    return facts


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
