"""A trained model, and the record that says what it is."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jax.sharding import Mesh

from sde_jax import nn
from sde_jax.codec import decode
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Sampler
from sde_jax.likelihood import Quantization
from sde_jax.prediction import denoiser
from sde_jax.sampling import Samples, sample
from sde_jax.sde import GaussianPath
from sde_jax.typing import Denoiser, Key, Params


@dataclass(frozen=True)
class Record:
    """What stands beside the checkpoints as JSON: all that is needed to use them without data and config file."""

    experiment: Experiment
    shape: tuple[int, ...]
    levels: int

    def __post_init__(self):
        if len(self.shape) != 3 or min(self.shape) < 1 or not 2 <= self.levels <= 256:
            raise InputError(f"shape {self.shape}, {self.levels} levels: expected [height, width, channels], 2 to 256")

    @property
    def quantization(self) -> Quantization:
        """The grey levels as cells of the experiment's `data_range`."""
        return Quantization(self.levels, *self.experiment.data_range)

    @property
    def size(self) -> int:
        """Numbers in an example."""
        return math.prod(self.shape)

    def mesh(self) -> Mesh:
        """Return the mesh of all devices on which the run is trained, sampled from and scored."""
        return self.experiment.training.mesh.over()

    def identity(self) -> dict[str, Any]:
        """Return what two runs must share for one to continue the other."""
        return {**self.to_json(), "experiment": self.experiment.identity()}

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON-able data."""
        return {"experiment": self.experiment.to_json(), "shape": list(self.shape), "levels": self.levels}

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
