"""The directory that holds a classifier of noisy examples, and the log-probabilities that it gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from sde_jax.checkpoints import Described
from sde_jax.classifiers.noisy import Told
from sde_jax.data import Scaling
from sde_jax.errors import InputError
from sde_jax.nn import abstract
from sde_jax.nn.classifiers import NoiseClassifier
from sde_jax.prediction import Label
from sde_jax.pytree import in_one_line
from sde_jax.sde import GaussianPath
from sde_jax.training.classification import Training
from sde_jax.typing import Array, Params, Time

FILES = ("classifier.safetensors", "noise_classifier.json")


@dataclass(frozen=True)
class NoisyClassification:
    """What a classifier of x_t is, the data and the path that it was trained on, and what came out.

    shape, levels, data_range, scaling: how the data are x_0, as in a run's record; data: the fingerprint of the
    training examples; classes: the names of the labels, where known; held_out_accuracy: by noise level sigma / alpha.
    """

    classifier: NoiseClassifier
    label: Label
    sde: GaussianPath
    shape: tuple[int, ...]
    scaling: Scaling
    data: str
    training: Training = field(default_factory=Training)
    levels: int | None = None
    data_range: tuple[float, float] = (-1.0, 1.0)
    classes: tuple[str, ...] = ()
    training_examples: int = 0
    held_out_examples: int = 0
    held_out_accuracy: Mapping[str, float] = field(default_factory=dict)

    @property
    def told(self) -> Told:
        """The network and how it is told the time."""
        return Told(self.classifier, self.label, self.sde)


def _outline(about: NoisyClassification) -> Params:
    return abstract(about.classifier, about.shape)[1]


KIND = Described(FILES, NoisyClassification, _outline, "classifier", "train-classifier")


@in_one_line
@dataclass(frozen=True)
class NoisyClassifier:
    """A trained classifier: what it is, its parameters and the SHA-256 of their file."""

    about: NoisyClassification
    params: Params
    sha256: str

    @classmethod
    def open(cls, directory: Path) -> "NoisyClassifier":
        """Return that of a directory of `sde-jax train-classifier`; raises `InputError` as `Described.load`."""
        about, params, digest = KIND.load(directory)
        return cls(about, jax.tree.map(jnp.asarray, params), digest)

    @property
    def log_prob(self) -> Any:
        """(x, t, label) -> log p_t(label | x) of one x, for `guidance.ByClassifier`: a pytree of the weights."""
        told, (apply, _) = self.about.told, abstract(self.about.classifier, self.about.shape)

        def log_prob(params: Params, x: Array, t: Time, label: Array) -> Array:
            return told.log_prob(apply, params, x, t)[label]

        return jax.tree_util.Partial(log_prob, self.params)

    def require_fit(self, **expected: Any) -> None:
        """Raise `InputError` where the classifier was trained on another path, shape or encoding of the data.

        expected: fields of `NoisyClassification`, as of the model that is to be guided.
        """
        odd = [f"{name} = {getattr(self.about, name)}, not {value}" for name, value in expected.items()
               if getattr(self.about, name) != value]  # fmt: skip
        if odd:
            raise InputError(
                f"a classifier of other noisy examples ({'; '.join(odd)}): train one for this run, "
                "sde-jax train-classifier --workdir"
            )
