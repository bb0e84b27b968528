"""The device mesh, and what lies where on it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sde_jax import processes
from sde_jax.errors import InputError
from sde_jax.typing import Batch

AXES = {"example": ("data", "fsdp"), "parameter": ("fsdp",)}
"""Which axes of the mesh an axis of an array is split over: that of examples, and one of every large parameter."""
SPLIT_FROM = 1024
"""Numbers from which on an array of the state is split; smaller ones are on every device."""


@dataclass(frozen=True)
class MeshShape:
    """How many devices share the state of training between them, `fsdp`; over the rest it is repeated.

    1: data parallel, a copy of parameters, averages and optimizer on every device, one all-reduce a step. All devices:
    fully sharded, 1/n of them on each, the parameters gathered for the time of a step (Rajbhandari et al. 2020). In
    between: sharded within groups of `fsdp`. Examples are split over all devices in each case, and the numbers of a
    run are the same up to rounding. Raises `InputError` unless fsdp >= 1.
    """

    fsdp: int = 1

    def __post_init__(self):
        if self.fsdp < 1:
            raise InputError(f"fsdp = {self.fsdp}: expected 1 or more")

    def over(self, devices: Sequence[Any] | None = None) -> Mesh:
        """Return the mesh of all devices (or those given), axes `data` and `fsdp`; the latter fits where it can.

        Of several processes all call it, as they do `processes.connect`.
        """
        own = processes.devices() if devices is None else devices
        shared = math.gcd(self.fsdp, len(own))
        shape = (len(own) // shared, shared)
        mesh = jax.make_mesh(shape, ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2, devices=own)
        if devices is None:
            processes.connect(mesh)
        return mesh


def data_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """Return the mesh of all devices (or those given) for data parallel work; one device is a mesh of one."""
    return MeshShape().over(devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Return the sharding of what is on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_example(mesh: Mesh) -> NamedSharding:
    """Return the sharding of a batch: the leading axis split over the devices."""
    return NamedSharding(mesh, PartitionSpec(AXES["example"]))


def sharded(tree: Any, mesh: Mesh) -> Any:
    """Return the shardings of a state, or of parameters: of each large array, one axis split over `fsdp`.

    That axis is the longest which divides, the last among equals.
    """
    return jax.tree.map(lambda a: NamedSharding(mesh, _split(a.shape, mesh.shape["fsdp"])), tree)


def _split(shape: tuple[int, ...], shares: int) -> PartitionSpec:
    fitting = [axis for axis, size in enumerate(shape) if size % shares == 0]
    if shares == 1 or not fitting or math.prod(shape) < SPLIT_FROM:
        return PartitionSpec()
    axis = max(fitting, key=lambda axis: (shape[axis], axis))
    return PartitionSpec(*[None] * axis, AXES["parameter"])


def place(batch: Mapping[str, np.ndarray], mesh: Mesh, stacked: bool = False) -> Batch:
    """Return this process's rows of a global batch, or of several stacked ones, as global arrays."""
    sharding = NamedSharding(mesh, PartitionSpec(None, AXES["example"])) if stacked else by_example(mesh)
    if sharding.is_fully_addressable:  # no other process has rows: one transfer of all arrays
        return jax.device_put(dict(batch), sharding)
    return {name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()}
