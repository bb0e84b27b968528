"""What processes of their own do with checkpoints: `python checkpoint_programs.py PROGRAM ...`."""

import os
import random
import resource
import signal
import sys
import time
from dataclasses import replace
from itertools import count
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from sde_jax.errors import InputError, RunError
from sde_jax.training import Adam, Checkpoints, ExponentialAverage, TrainState


def state(step: int, rows: int = 8) -> TrainState:
    """A state whose bits, any of all, follow from its step."""
    bits = np.random.default_rng(step)
    zeros = lambda: {"b": jnp.zeros(4), "w": jnp.zeros((rows, 8))}  # noqa: E731
    shapes = jax.eval_shape(lambda: TrainState.create(zeros(), Adam().transformation(), ExponentialAverage()))
    draw = lambda a: np.frombuffer(bits.bytes(a.size * a.dtype.itemsize), a.dtype).reshape(a.shape)  # noqa: E731
    return replace(jax.tree.map(lambda a: jax.device_put(draw(a)), shapes), step=jax.device_put(np.int32(step)))


def mesh(data: int, fsdp: int) -> Mesh:
    devices = jax.devices()[: data * fsdp]
    return jax.make_mesh((data, fsdp), ("data", "fsdp"), axis_types=(AxisType.Auto,) * 2, devices=devices)


def like(step: int, on: Mesh, split: PartitionSpec, rows: int = 8) -> TrainState:
    """The shapes of a state, its matrices split over a mesh, the rest copied to each device."""
    shard = lambda a: NamedSharding(on, split if a.ndim == 2 else PartitionSpec())  # noqa: E731
    return jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=shard(a)), state(step, rows))


def placed(step: int, on: Mesh, split: PartitionSpec) -> TrainState:
    put = lambda a, to: jax.make_array_from_callback(a.shape, to.sharding, lambda i: np.asarray(a)[i])  # noqa: E731
    return jax.tree.map(put, state(step), like(step, on, split))


def require_same_bits(restored: TrainState, expected: TrainState) -> None:
    """Each shard here holds the bits that the expected state has there."""
    for a, b in zip(jax.tree.leaves(restored), jax.tree.leaves(expected), strict=True):
        assert a.dtype == b.dtype
        for shard in a.addressable_shards:
            assert np.asarray(shard.data).tobytes() == np.asarray(b)[shard.index].tobytes()


def killed_saves(folder: str, rows: str, kills: str) -> None:
    """Kill one saving process after another at random moments; each finds the newest whole, and nothing lost.

    Writes how many of them left a save unfinished.
    """
    known = unfinished = 0
    for _ in range(int(kills)):
        receive, send = os.pipe()
        child = os.fork()  # cheaper than starting Python, and there are no threads yet
        if not child:
            save_forever(Path(folder), int(rows), known, send)
        os.close(send)
        with os.fdopen(receive) as lines:
            started = [lines.readline() for _ in range(3)]
            time.sleep(random.uniform(0, 0.2))
            os.kill(child, signal.SIGKILL)
            assert os.waitpid(child, 0)[1] == signal.SIGKILL, started
            known = int([*started, *lines][-1])
        unfinished += any(not (step / "commit_success.txt").exists() for step in Path(folder).iterdir())
    require_newest(Path(folder), int(rows), known)
    print(unfinished)


def require_newest(folder: Path, rows: int, known: int) -> None:
    with Checkpoints(folder) as checkpoints:
        restored = checkpoints.restore(like(0, mesh(1, 1), PartitionSpec(), rows))
    assert int(restored.step) >= known, (int(restored.step), known)
    require_same_bits(restored, state(int(restored.step), rows))


def save_forever(folder: Path, rows: int, known: int, send: int) -> None:
    """Save step after step, and send the number of each that is known to be there."""
    if known:
        require_newest(folder, rows, known)
    with Checkpoints(folder, keep=2) as checkpoints:
        for step in count((checkpoints.latest or 0) + 1):
            checkpoints.save(state(step, rows), {"step": step})
            os.write(send, f"{step - 1}\n".encode())  # a save waits for the one before it


def change_meshes(folder: str) -> None:
    """Save on eight devices; restore on others."""
    rows, columns = PartitionSpec("fsdp"), PartitionSpec("data", "fsdp")
    with Checkpoints(Path(folder)) as checkpoints:
        checkpoints.save(placed(1, mesh(1, 8), rows), {})
    for on, split in ((mesh(4, 1), columns), (mesh(1, 4), rows), (mesh(2, 4), columns), (mesh(1, 1), rows)):
        with Checkpoints(Path(folder), read_only=True) as checkpoints:
            restored, expected = checkpoints.restore(like(1, on, split)), like(1, on, split)
        require_same_bits(restored, state(1))
        assert jax.tree.map(lambda a: a.sharding, restored) == jax.tree.map(lambda a: a.sharding, expected)
        print(on.shape_tuple)


def write_under_a_quota(folder: str) -> None:
    """Save once, and once more where no file can grow beyond 64 KiB."""
    with Checkpoints(Path(folder)) as checkpoints:
        checkpoints.save(state(1, 4096), {})
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, resource.RLIM_INFINITY))
    try:
        with Checkpoints(Path(folder)) as checkpoints:
            checkpoints.save(state(2, 4096), {})
    except RunError as error:
        print(error)


def two_processes(folder: str, port: str, index: str) -> None:
    """As one of two: restore what one process saved, save, damage the newest, find the one before, damage all."""
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"localhost:{port}", 2, int(index))
    on, split = mesh(2, 1), PartitionSpec("data")
    with Checkpoints(Path(folder)) as checkpoints:
        require_same_bits(checkpoints.restore(like(1, on, split)), state(1))
        checkpoints.save(placed(2, on, split), {"step": 2})
        checkpoints.save(placed(3, on, split), {"step": 3})
    if index == "0":
        damage(Path(folder) / "3" / "state")
    with Checkpoints(Path(folder)) as checkpoints:
        assert checkpoints.latest == 2
        assert checkpoints.record() == {"step": 2}
        require_same_bits(checkpoints.restore(like(1, on, split)), state(2))
    if index == "0":
        damage(Path(folder) / "1" / "state")
        damage(Path(folder) / "2" / "state")
    try:
        Checkpoints(Path(folder))
    except InputError as error:
        print(str(error).splitlines()[-1])


def damage(folder: Path) -> None:
    """Flip the lowest bit in the middle of every file."""
    for path in folder.rglob("*"):
        if path.is_file():
            content = bytearray(path.read_bytes())
            content[len(content) // 2] ^= 1
            path.write_bytes(content)


if __name__ == "__main__":
    programs = (killed_saves, change_meshes, write_under_a_quota, two_processes)
    {program.__name__: program for program in programs}[sys.argv[1]](*sys.argv[2:])
