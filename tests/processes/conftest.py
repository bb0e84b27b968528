import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "sde_jax"
PRELUDE = f"""
import os, sys, time, types
sys.modules["sde_jax"] = package = types.ModuleType("sde_jax")  # without the rest of it, whose import takes seconds
package.__path__ = [{str(PACKAGE)!r}]
from sde_jax import processes
from sde_jax.errors import InputError, RunError
"""
CONNECTED = """
import jax
from jax.experimental import multihost_utils
index, port = int(sys.argv[1]), sys.argv[2]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.config.update("jax_enable_preemption_service", False)
processes.initialize(f"localhost:{port}", 2, index, wait=30)

def step():
    return multihost_utils.process_allgather(jax.numpy.ones(2))

"""


@dataclass(frozen=True)
class Ended:
    """How a process ended, and what it wrote."""

    code: int
    out: str
    err: str


class Job:
    """Programs in processes of their own, none of which outlives the test."""

    def __init__(self) -> None:
        self.port = free_port()
        self.connections: list[socket.socket] = []
        self._started: list[subprocess.Popen] = []

    def start(self, program: str, *arguments: object) -> subprocess.Popen:
        """Run a program that has `processes`, `InputError` and `RunError`."""
        program = PRELUDE + textwrap.dedent(program)
        process = subprocess.Popen(
            [sys.executable, "-c", program, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def start_two(self, program: str) -> list[subprocess.Popen]:
        """Run a program in two connected processes; it has `index` too, and `step()`, which they do together."""
        program = CONNECTED + textwrap.dedent(program)
        return [self.start(program, index, self.port) for index in range(2)]

    def ends(self, *processes: subprocess.Popen, within: float = 900) -> list[Ended]:
        """Wait for processes; fails where one of them takes longer."""
        end, found = time.monotonic() + within, []
        for process in processes:
            try:
                found.append(Ended(process.wait(max(0, end - time.monotonic())), *process.communicate()))
            except subprocess.TimeoutExpired:
                self.kill()
                pytest.fail(f"still there after {within} s: {[p.communicate() for p in processes]}")
        return found

    def kill(self) -> None:
        """End what is still there."""
        for connection in self.connections:
            connection.close()
        for process in self._started:
            process.kill()


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.create_server(("localhost", 0)) as door:
        return door.getsockname()[1]


@pytest.fixture
def job() -> Iterator[Job]:
    started = Job()
    try:
        yield started
    finally:
        started.kill()
