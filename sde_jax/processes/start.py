"""How several processes become one job."""

import os
from collections.abc import Sequence

import jax
from jax._src.clusters import ClusterEnv  # JAX tells nobody what it detects, and `rendezvous` must know

from sde_jax.errors import InputError
from sde_jax.processes.line import Line
from sde_jax.processes.rendezvous import call, gather, listening
from sde_jax.processes.slurm import local_devices
from sde_jax.processes.together import attach

HEARTBEAT = 30
"""Seconds without a sign of life after which JAX ends all processes; the line between them is far quicker."""
SHUTDOWN = 30
"""Seconds that JAX lets processes wait for each other at the end, to which `together` brings them at one time."""
CONNECT = 60
"""Seconds in which processes that have found each other connect through JAX."""
BY_HAND = "say --coordinator HOST:PORT --process_count N --process_index I"


def initialize(
    coordinator: str | None = None, count: int | None = None, index: int | None = None, wait: float = 300
) -> None:
    """Connect this process with the others of its job; to be called before JAX is asked for a device.

    coordinator: HOST:PORT of process 0, which listens at that address alone, and at every one of its machine where HOST
    is a name other than localhost; count, index: how many processes there are, and which of them this one is. All
    three, or none: JAX then detects SLURM, Open MPI, Kubernetes or a Cloud TPU. wait: seconds in which all must have
    come. Raises `InputError` where they have not, where the port is in use or the address another machine's, where the
    numbers are off, and where nothing is detected.
    """
    given = coordinator, count, index
    if None in given and given != (None, None, None):
        raise InputError("expected --coordinator, --process_count and --process_index together")
    devices = None
    if coordinator is None or count is None or index is None:
        coordinator, count, index, devices = _detected(wait)
    if count < 1 or not 0 <= index < count:
        raise InputError(f"--process_index={index}: expected 0 to {count - 1}, with --process_count={count}")
    host, port = _address(coordinator)
    if count == 1:
        return
    connections = gather(port, count, wait, host) if index == 0 else call(host, port, count, index, wait)
    address = listening(host)
    jax.distributed.initialize(
        coordinator,
        count,
        index,
        coordinator_bind_address=address and f"{f'[{address}]' if ':' in address else address}:{port}",
        local_device_ids=devices,
        cluster_detection_method="deactivate",
        initialization_timeout=CONNECT,
        heartbeat_timeout_seconds=HEARTBEAT,
        shutdown_timeout_seconds=SHUTDOWN,
    )
    attach(Line(connections))


def _address(coordinator: str) -> tuple[str, int]:
    host, colon, port = coordinator.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 2**16):
        raise InputError(f"--coordinator={coordinator}: expected HOST:PORT, a port from 1 to {2**16 - 1}")
    return host.strip("[]"), int(port)


def _detected(wait: float) -> tuple[str, int, int, Sequence[int] | None]:
    try:
        found = ClusterEnv.auto_detect_unset_distributed_params(None, None, None, None, None, int(wait))
    except Exception as error:  # whatever a cluster's own tools raise
        raise InputError(f"--distributed: JAX cannot tell this cluster's processes ({error}); {BY_HAND}") from error
    coordinator, count, index, devices = found
    if coordinator is None or count is None or index is None:
        raise InputError(f"--distributed: no SLURM, Open MPI, Kubernetes or Cloud TPU is found here; {BY_HAND}")
    return coordinator, count, index, local_devices(os.environ) or devices
