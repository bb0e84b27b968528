"""Features of a classifier that was trained on the data in use, and the directory that holds it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from sde_jax.checkpoints import Described
from sde_jax.data import Scaling
from sde_jax.errors import InputError
from sde_jax.features.classification import Training, normalised
from sde_jax.features.reader import Reader
from sde_jax.nn import outline, stateless
from sde_jax.nn.classifiers import Classifier
from sde_jax.typing import Array, Params

WEIGHTS, RECORD = FILES = ("classifier.safetensors", "features.json")
NOTE = "not comparable with published FIDs"


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


def _outline(about: Classification) -> Params:
    return stateless(outline(about.classifier, about.shape))[1]


KIND = Described(FILES, Classification, _outline, "features", "train-features")


def save(directory: Path, about: Classification, params: Params) -> dict[str, Any]:
    """Write a classifier's two files into a directory; return what the JSON says."""
    return KIND.save(directory, about, params, note=NOTE)


def load(directory: Path) -> tuple[Classification, Params, str]:
    """Return a directory's classifier, its parameters and the SHA-256 of their file, as `Described.load`."""
    return KIND.load(directory)
