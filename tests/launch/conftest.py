import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture
def script() -> Iterator[Callable[..., subprocess.Popen]]:
    """Start a script of launch/ in a process of its own; what still runs at the end of the test is killed."""
    started = []

    def start(name: str, *arguments: object, **environment: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, str(REPOSITORY / "launch" / name), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def sum_over_processes(tmp_path_factory) -> Path:
    """A program of several JAX processes of the CPU: it prints the sum of their numbers, 1 + 2 + ...

    It finds the others as its flags say, or by itself where there are none.
    """
    program = tmp_path_factory.mktemp("program") / "sum_over_processes.py"
    program.write_text(
        "import argparse, sys, jax\n"
        "from jax.sharding import NamedSharding, PartitionSpec\n"
        "parser = argparse.ArgumentParser()\n"
        "for name, kind in (('coordinator', str), ('process_count', int), ('process_index', int)):\n"
        "    parser.add_argument('--' + name, type=kind)\n"
        "flags, _ = parser.parse_known_args()\n"
        "jax.config.update('jax_cpu_collectives_implementation', 'gloo')\n"
        "jax.distributed.initialize(flags.coordinator, flags.process_count, flags.process_index)\n"
        "mesh = jax.make_mesh((jax.device_count(),), ('data',), axis_types=(jax.sharding.AxisType.Auto,))\n"
        "rows = jax.numpy.full((jax.local_device_count(),), jax.process_index() + 1)\n"
        "rows = jax.make_array_from_process_local_data(NamedSharding(mesh, PartitionSpec('data')), rows)\n"
        "total = jax.jit(jax.numpy.sum, out_shardings=NamedSharding(mesh, PartitionSpec()))(rows)\n"
        "where = f'process {jax.process_index()} of {jax.process_count()}, devices {jax.device_count()}'\n"
        "sys.stdout.write(f'\\n{where}, sum {total}\\n')\n"  # gloo writes where it is in a line
    )
    return program
