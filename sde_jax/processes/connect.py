"""The first collectives of a job."""

import functools

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sde_jax.processes import job


@functools.cache
def connect(mesh: Mesh) -> None:
    """Connect the devices of a mesh, all of them and those along each of its axes, of which some are other processes'.

    Gloo, by which CPUs work together, connects the devices of a group at their first collective, and fails where they
    come to it more than 30 seconds apart; nothing in JAX sets that time. Later collectives wait for half an hour, and
    as long as the watchdog lets them. So the processes meet, which may take as long as it does, and then do the first.
    All call it equally often with the same meshes, of which each is connected once.
    """
    if job.count() == 1:
        return
    job.meet()
    groups = [mesh.axis_names, *((name,) for name, size in mesh.shape.items() if 1 < size < mesh.size)]
    rows = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    ones = jax.make_array_from_callback((mesh.size,), rows, lambda index: np.ones(mesh.size, np.float32)[index])
    for group in groups:
        rest = PartitionSpec(tuple(name for name in mesh.axis_names if name not in group))
        total = jax.shard_map(
            lambda one, group=group: jax.lax.psum(one, group), mesh=mesh, in_specs=rows.spec, out_specs=rest
        )
        jax.block_until_ready(jax.jit(total)(ones))
