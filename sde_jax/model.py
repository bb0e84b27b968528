"""A trained model, and the record that says what it is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
from jax.sharding import Mesh

from sde_jax import nn
from sde_jax.codec import decode, encode
from sde_jax.data import Scaling, Splits
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Sampler
from sde_jax.likelihood import Encoding, Quantization
from sde_jax.prediction import denoiser
from sde_jax.sampling import Samples, sample
from sde_jax.sde import GaussianPath
from sde_jax.typing import Denoiser, Key, Params


@dataclass(frozen=True)
class Record:
    """What stands beside the checkpoints as JSON: all that is needed to use them without data and config file.

    shape, levels, scaling, classes: of the data, as in `data.Splits`.
    """

    experiment: Experiment
    shape: tuple[int, ...]
    levels: int | None = None
    scaling: Scaling = field(default_factory=Scaling)
    classes: tuple[str, ...] = ()

    def __post_init__(self):
        if not self.shape or min(self.shape) < 1 or not (self.levels is None or 2 <= self.levels <= 2**16):
            raise InputError(
                f"shape {self.shape}, {self.levels} levels: expected one number or more an example, and 2 to {2**16} "
                "levels or none"
            )
        if self.experiment.training.flip and len(self.shape) != 3:
            raise InputError(f"training.flip on examples of shape {self.shape}: expected images to mirror")

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
        return {"data": jax.ShapeDtypeStruct((count, *self.shape), self.encoding.dtype)}

    @property
    def size(self) -> int:
        """Numbers in an example."""
        return math.prod(self.shape)

    def mesh(self) -> Mesh:
        """Return the mesh of all devices on which the run is trained, sampled from and scored."""
        return self.experiment.training.mesh.over()

    def identity(self) -> dict[str, Any]:
        """Return what two runs must share for one to continue the other."""
        data = {name: value for name, value in self.to_json().items() if name != "classes"}
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

    @property
    def sde(self) -> GaussianPath:
        """The forward SDE it was trained on."""
        return self.record.experiment.sde

    @property
    def samplers(self) -> Mapping[str, Sampler]:
        """The samplers that its experiment names."""
        return self.record.experiment.samplers

    @property
    def denoise(self) -> Denoiser:
        """The denoiser (x, t) -> E[x_0 | x_t = x] of its own parameters."""
        return self.denoiser(self.params)

    def sample(self, keys: Key, sampler: Sampler, frames: int = 0) -> Samples:
        """Return one sample for each of `keys` [n], as `sampling.sample`: x in the experiment's `data_range`."""
        grid = sampler.grid(self.sde)
        return sample(keys, sampler.solver, self.sde, self.denoise, grid, self.record.shape, frames)

    def denoiser(self, params: Params) -> Denoiser:
        """Return the denoiser of the network with `params`."""
        network = lambda x, noise: self.apply(params, x, noise)  # noqa: E731
        return denoiser(network, self.sde, self.record.experiment.objective.parameterization)
