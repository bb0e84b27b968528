"""Whether what is asked for can be had at all: numbers that no machine has room or time for are told at once."""

import os
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from sde_jax.codec import encode
from sde_jax.commands.workdir import abstract_state
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment
from sde_jax.model import Record

LARGEST = 2**31 - 1
"""Of any whole number in a config but a seed: what counts steps and positions on a device holds no more."""
LIMITS = {
    **dict.fromkeys(("depth", "blocks_per_level", "blocks_per_group"), 1000),
    **dict.fromkeys(("elbo_strata", "loss_draws", "passes", "probes_per_example", "classes"), 10**6),
    **dict.fromkeys(("num_train", "num_held_out"), 10**8),
    "batch_size": 2**24,
}
"""Of some of them: a network of more blocks is not built in a day, a batch of more is not held."""
GRID = 10**6
"""Steps of a sampler, at most."""


def excessive(experiment: Experiment) -> Iterator[str]:
    """Yield, a line each, the numbers of an experiment that are too large for any machine."""
    yield from _excessive(encode(experiment), ("config",))


def _excessive(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _excessive(item, (*path, name))
    elif isinstance(value, list):
        for item in value[:1000]:
            yield from _excessive(item, path)
    elif isinstance(value, int) and value > (most := _most(path)):
        yield f"{'.'.join(path)} = {value}: expected at most {most}"


def _most(path: tuple[str, ...]) -> int:
    if path[-1] == "seed":
        return 2**32 - 1
    if path[1] == "samplers" and path[3:] == ("steps",):
        return GRID
    return LIMITS.get(path[-1], LARGEST)


def require_memory(record: Record, mesh: Mesh) -> None:
    """Raise `InputError` where a run's state is larger than the memory of a device, or of this machine."""
    state = abstract_state(record, mesh)
    sizes = [
        np.prod(leaf.sharding.shard_shape(leaf.shape), dtype=float) * leaf.dtype.itemsize
        for leaf in jax.tree.leaves(state)
    ]
    here, most = sum(sizes), memory()
    if here > most:
        count = sum(np.prod(leaf.shape, dtype=float) for leaf in jax.tree.leaves(state.params))
        raise InputError(
            f"config.network: {count:.3g} parameters, whose training takes {here / 2**30:,.1f} GiB on each device; "
            f"there are {most / 2**30:,.1f} GiB: choose a smaller network, or share it out (training.mesh.fsdp)"
        )


def memory() -> float:
    """Return the bytes of memory of a device; of this machine where the devices are its CPU."""
    told = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    return told or float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))


def require_samples(count: int, size: int) -> None:
    """Raise `InputError` where so many samples of so many numbers are more than this machine holds."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if 8 * count * size > machine:
        raise InputError(
            f"--num_samples={count}: {4 * count * size / 2**30:,.0f} GiB of samples; expected at most "
            f"{machine // (8 * size)}: draw them in parts, with other seeds"
        )
