"""The device mesh, and what lies where on it."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sde_jax.typing import Batch


def data_mesh(devices: Sequence[Any] | None = None) -> Mesh:
    """Return a mesh of all devices (or those given) along the one axis `data`; one device is a mesh of one."""
    devices = jax.devices() if devices is None else devices
    return jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)


def replicated(mesh: Mesh) -> NamedSharding:
    """Return the sharding of parameters, averages and optimizer: a copy on every device."""
    return NamedSharding(mesh, PartitionSpec())


def by_example(mesh: Mesh) -> NamedSharding:
    """Return the sharding of a batch: the leading axis split over the devices."""
    return NamedSharding(mesh, PartitionSpec("data"))


def place(batch: Mapping[str, np.ndarray], mesh: Mesh) -> Batch:
    """Return this process's rows of a global batch as global arrays."""
    sharding = by_example(mesh)
    return {name: jax.make_array_from_process_local_data(sharding, rows) for name, rows in batch.items()}
