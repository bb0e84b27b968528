"""Which process of a job this is, and what its processes share: text by key, and a place to meet."""

import itertools
from typing import Any

import jax
from jax._src import distributed  # JAX has no public way to the store of the processes that it connects

from sde_jax.errors import InputError

FOREVER = 7 * 24 * 3600 * 1000
"""Milliseconds, of waits that only the end of a process ends."""
_meetings = itertools.count()


def index() -> int:
    """Return this process's number, from 0."""
    return distributed.global_state.process_id


def count() -> int:
    """Return the number of processes; 1 where none were connected."""
    return distributed.global_state.num_processes


def is_first() -> bool:
    """Return whether this is process 0, which alone writes, logs and draws progress bars. Starts no device."""
    return index() == 0


def named(process: int) -> str:
    """Return "process 1 of 4", as all messages call it."""
    return f"process {process} of {count()}"


def devices() -> list[Any]:
    """Return the devices of all processes; raises `InputError` where JAX cannot start what it is asked for."""
    try:
        return jax.devices()
    except (RuntimeError, AssertionError) as error:  # the latter, without a word, for JAX_PLATFORMS=cuda on a CPU's JAX
        asked = f"JAX_PLATFORMS = {jax.config.values['jax_platforms'] or 'unset'}"
        reason = " ".join(str(error).split()) or "this JAX knows no such devices"
        advice = "install what they need, or set JAX_PLATFORMS=cpu"
        raise InputError(f"{asked}: JAX finds no devices ({reason}); {advice}") from error


def store() -> Any:
    """Return the key-value store of the job; raises `RuntimeError` where no processes were connected."""
    if distributed.global_state.client is None:
        raise RuntimeError("processes.initialize has connected no processes")
    return distributed.global_state.client


def meet() -> None:
    """Wait until every process has come here, equally often; one process alone goes on at once."""
    if count() > 1:
        store().wait_at_barrier(f"sde_jax/{next(_meetings)}", FOREVER)
