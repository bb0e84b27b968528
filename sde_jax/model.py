"""A trained model, and the record that says what it is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import ArrayLike, Float, Int

from sde_jax import nn
from sde_jax.codec import decode, encode
from sde_jax.data import DataContents, Scaling, Splits, channels_seem_first
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Sampler
from sde_jax.guidance import Guide
from sde_jax.likelihood import Encoding, Quantization
from sde_jax.prediction import Coupled, denoiser
from sde_jax.pytree import concrete
from sde_jax.sampling import Samples, draws_noise, sample_given
from sde_jax.sde import GaussianPath
from sde_jax.training import BatchLoss, Symmetry
from sde_jax.typing import Array, Denoiser, Key, Params


@dataclass(frozen=True)
class Record:
    """What stands beside the checkpoints as JSON: all that is needed to use them without data and config file.

    shape, levels, scaling, classes: of the data, as in `data.Splits`; contents: what tells these data from others,
    where they were read; accepted: how they were changed while the run went on, a line for each time.
    """

    experiment: Experiment
    shape: tuple[int, ...]
    levels: int | None = None
    scaling: Scaling = field(default_factory=Scaling)
    classes: tuple[str, ...] = ()
    contents: DataContents | None = None
    accepted: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.shape or min(self.shape) < 1 or not (self.levels is None or 2 <= self.levels <= 2**16):
            raise InputError(
                f"shape {self.shape}, {self.levels} levels: expected one number or more an example, and 2 to {2**16} "
                "levels or none"
            )
        training = self.experiment.training
        if (training.flip or training.crop) and len(self.shape) != 3:
            raise InputError(
                f"training.flip or crop on examples of shape {self.shape}: expected images to mirror or crop"
            )
        moved = training.flip or training.crop or training.augmentation.size or training.symmetry != Symmetry()
        if moved and channels_seem_first(self.shape):
            raise InputError(
                f"images of shape {self.shape} to mirror, turn or crop: expected height, width and channels, and the "
                "channels seem to be first; put them last"
            )
        if training.crop and training.crop >= min(self.shape[:2]):
            raise InputError(f"training.crop = {training.crop}: expected less than the sides of an image {self.shape}")
        training.augmentation.require(self.shape)
        training.symmetry.require(self.shape)
        training.degradation.require(self.shape)

    @classmethod
    def of(cls, experiment: Experiment, splits: Splits) -> "Record":
        """Return the record of a run on data that are open."""
        return cls(experiment, splits.shape, splits.levels, splits.scaling, splits.classes)

    @property
    def encoding(self) -> Encoding:
        """How the data are x_0: levels as cells of the experiment's `data_range`, real numbers by their scaling."""
        return self.scaling if self.levels is None else Quantization(self.levels, *self.experiment.data_range)

    @property
    def is_image(self) -> bool:
        """Whether an example is a picture: grey or RGB, of up to 256 levels."""
        return len(self.shape) == 3 and self.shape[2] in (1, 3) and self.levels is not None and self.levels <= 256

    def batch(self, count: int) -> dict[str, jax.ShapeDtypeStruct]:
        """Return the shapes and types of a batch of `count` examples."""
        data = jax.ShapeDtypeStruct((count, *self.shape), self.encoding.dtype)
        return {"data": data, "label": jax.ShapeDtypeStruct((count,), np.int32)}

    @property
    def condition(self) -> nn.Condition:
        """What the network is conditioned on."""
        return nn.condition_of(self.experiment.network)

    @property
    def label_count(self) -> int:
        """The classes that the network knows, 0 for one without."""
        label = self.condition.hears().get("label")
        return label.classes if isinstance(label, nn.ClassLabel) else 0

    def told(self, label: ArrayLike = -1, **facts: Array) -> Any:
        """Return the condition of ONE example with this label, -1 for none, that was not augmented, and of which other
        facts, such as `channels`, may be known; None for none.
        """
        size = self.experiment.training.augmentation.size
        facts = {"label": jnp.asarray(label), **({"augmentation": jnp.zeros(size)} if size else {}), **facts}
        return self.condition.of(facts, self.shape)

    @property
    def known_labels(self) -> int:
        """The classes to draw: those that the network knows, but for any beyond the data's own that have names."""
        return min(self.label_count, len(self.classes) or self.label_count)

    def labels_at(self, index: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Return labels for samples of which none is asked: each class in turn, -1 for a network that hears none."""
        return index % self.known_labels if self.label_count else np.full_like(index, -1)

    def require_null(self) -> None:
        """Raise `InputError` where the network hears labels and was never trained without: its null token is noise."""
        if self.label_count and not self.experiment.training.label_dropout:
            raise InputError(
                "guidance by the network that is told no label: this one was always told one (label_dropout = 0); "
                "train with --config.training.label_dropout=0.1, or guide by a weaker model (autoguidance)"
            )

    def null_token_warnings(self) -> list[str]:
        """Return why what the network says without a label means little, a line; none where it was trained without."""
        if not self.label_count or self.experiment.training.label_dropout:
            return []
        return [
            "the network was always told a label (label_dropout = 0) and is told none here, which it never learned: "
            "these numbers mean little; train with --config.training.label_dropout=0.1"
        ]

    def loss(self, apply: nn.Apply) -> BatchLoss:
        """Return the loss that the run minimises."""
        experiment, training = self.experiment, self.experiment.training
        return BatchLoss(
            apply,
            experiment.sde,
            experiment.objective,
            self.encoding,
            self.condition,
            training.label_dropout,
            training.augmentation,
            training.symmetry,
            training.degradation,
        )

    @property
    def size(self) -> int:
        """Numbers in an example."""
        return math.prod(self.shape)

    def mesh(self) -> Mesh:
        """Return the mesh of all devices on which the run is trained, sampled from and scored."""
        return self.experiment.training.mesh.over()

    def identity(self) -> dict[str, Any]:
        """Return what two runs must share for one to continue the other, besides the contents of their data."""
        left_out = ("classes", "contents", "accepted")
        data = {name: value for name, value in self.to_json().items() if name not in left_out}
        return {**data, "experiment": self.experiment.identity()}

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-able data."""
        return {name: value for name, value in encode(self).items() if name != "type"}

    @classmethod
    def from_json(cls, data: Any, like: "Record | None" = None) -> "Record":
        """Return the record of JSON data; raises `InputError` where they are not one.

        What the data leave out, and components that are not the library's own, are those of `like` where given.
        """
        if not isinstance(data, Mapping) or not {"experiment", "shape", "levels"} <= data.keys():
            raise InputError("not the record of a run; expected experiment, shape and levels")
        record, problems = decode(cls, data, like, where="config")
        if problems:
            raise InputError("\n".join(problems))
        return record


@dataclass(frozen=True)
class Model:
    """A trained model: its record, the averaged parameters, the network and the step they are from."""

    record: Record
    apply: nn.Apply
    params: Params
    step: int

    def __repr__(self) -> str:
        """Return what it is, in one line."""
        network, numbers = self.record.experiment.network, sum(leaf.size for leaf in jax.tree.leaves(self.params))
        what = f"{type(network).__name__} of {numbers:,} parameters at step {self.step:,}"
        return f"Model({what}, {self.sde}, shape={self.record.shape}, samplers={[*self.samplers]})"

    @property
    def sde(self) -> GaussianPath:
        """The forward SDE it was trained on."""
        return self.record.experiment.sde

    @property
    def samplers(self) -> Mapping[str, Sampler]:
        """The samplers that its experiment names."""
        return self.record.experiment.samplers

    @property
    def usable_samplers(self) -> Mapping[str, Sampler]:
        """Those that draw from what the objective learns: all, or only those that draw no noise."""
        score = self.record.experiment.objective.gives_score
        return {name: kind for name, kind in self.samplers.items() if score or not draws_noise(kind.solver)}

    @property
    def denoise(self) -> Denoiser:
        """The denoiser (x, t) -> E[x_0 | x_t = x] of its own parameters."""
        return self.denoiser(self.params)

    def sample(
        self,
        keys: Key,
        sampler: Sampler,
        frames: int = 0,
        conditions: Any = None,
        guide: Guide | None = None,
        labels: Int[ArrayLike, " n"] | None = None,
    ) -> Samples:
        """Return one sample for each of `keys` [n], as `sampling.sample`: x in the experiment's `data_range`.

        conditions: one for each, as `conditions` returns them; None for no label. guide: what guides each, by its
        condition, `ClassifierFree(2.0)`, or its one of `labels` [n], `ByClassifier(log_prob)`; nothing is compiled
        anew for other conditions, labels and numbers in the guide. An evaluation is one of the guided denoiser.
        Raises `InputError` for a guide that asks for the network that is told nothing where it was not trained so, and
        for a guide, or a solver that draws noise, where the objective gives no score.
        """
        if guide is not None:
            self.record.experiment.objective.require_score(f"guidance by {type(guide).__name__}")
        if guide is not None and guide.needs_null:
            self.record.require_null()

        def of(given: Any) -> Denoiser:
            told = lambda condition: self.denoiser(self.params, condition)  # noqa: E731
            return told(given[0]) if guide is None else guide.guided(self.sde, told, *given)

        grid = sampler.grid(self.sde)
        return sample_given(keys, (conditions, labels), sampler.solver, self.sde, of, grid, self.record.shape, frames)

    def restore(
        self, keys: Key, sampler: Sampler, degraded: Float[Array, "n ..."], frames: int = 0, labels: Any = -1
    ) -> Samples:
        """Return one restored example for each of `keys` [n] and of `degraded` [n, ...], of a model that restores.

        degraded: in the experiment's `data_range`, NaN where it is not known: the network hears it, and the reverse
        process starts from N(degraded, deviation^2), N(0, deviation^2) where it is NaN. labels: one or [n], -1 for
        none. Raises `InputError` for examples of another shape, and for a network that hears no `channels`.
        """
        heard, shape = self.record.condition.hears(), (len(keys), *self.record.shape)
        if "channels" not in heard or jnp.shape(degraded) != shape:
            raise InputError(
                f"{jnp.shape(degraded)} to restore by a network that hears {', '.join(heard) or 'nothing'}: expected "
                f"{shape} and one that hears channels"
            )
        facts = {"channels": jnp.asarray(degraded), "label": jnp.broadcast_to(jnp.asarray(labels), len(keys))}

        def of(facts: dict[str, Array]) -> Denoiser:
            return self.denoiser(self.params, self.record.told(**facts), self.sde.given(facts))

        grid = sampler.grid(self.sde)
        return sample_given(keys, facts, sampler.solver, self.sde, of, grid, self.record.shape, frames, self.sde.given)

    def conditions(self, labels: Int[ArrayLike, " n"]) -> Any:
        """Return the conditions of examples with these labels, -1 for none, that were not augmented; None for none.

        Raises `InputError` for labels that the network does not know.
        """
        labels, classes = jnp.asarray(labels), self.record.label_count
        looked_at = concrete(labels) and labels.size
        if labels.ndim != 1 or (looked_at and not -1 <= labels.min() <= labels.max() < classes):
            expected = f"0 .. {classes - 1}, or -1 for none" if classes else "-1: the network knows no classes"
            raise InputError(f"labels {labels}: expected [n], each of {expected}")
        return jax.vmap(self.record.told)(labels)

    def denoiser(self, params: Params, condition: Any = None, sde: GaussianPath | None = None) -> Denoiser:
        """Return the denoiser of the network with `params`, given a condition, one of `conditions`; None: no label.

        Of an objective that gives no score it is a `Coupled` one, which what asks for the score refuses.

        sde: the path of the example, `sde.given` what is known of it; None: of an example of which nothing is.
        """
        sde = self.sde.given({}) if sde is None else sde
        told = self.record.told() if condition is None else condition
        apply = self.apply if told is None else partial(self.apply, condition=told)
        network = lambda x, noise: apply(params, x, noise)  # noqa: E731
        objective = self.record.experiment.objective
        denoise = denoiser(network, sde, objective.parameterization)
        return denoise if objective.gives_score else Coupled(denoise, type(objective.coupling).__name__)
