"""A second process compiles nothing that the first one compiled."""

import json
import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, logging, sys
import jax
from tests.conftest import invoke

asked, compiled = [], []

class Missed(logging.Handler):
    def emit(self, record):
        if "CACHE MISS" in record.getMessage():
            compiled.append(record.getMessage().split("'")[1])

def duration(event, *_, **__):
    if event == "/jax/core/compile/backend_compile_duration":
        asked.append("unknown")

def event(event, **_):
    if event == "/jax/compilation_cache/cache_hits":
        asked.append(None)

logger = logging.getLogger("jax._src.compiler")
logger.setLevel(logging.DEBUG)
logger.addHandler(Missed())
logger.propagate = False
jax.monitoring.register_event_duration_secs_listener(duration)
jax.monitoring.register_event_listener(event)
told = []
for arguments in json.loads(sys.argv[1]):
    asked.clear(), compiled.clear()
    assert invoke(*arguments) == 0, arguments
    told.append({"asked": asked.count("unknown"), "found": asked.count(None), "compiled": compiled.copy()})
print("COUNTS" + json.dumps(told))
"""
STEPPED = [["--solver", kind, "--steps=4"] for kind in ("DPMSolverMultistep", "EDMHeun")]
KINDS = [["--sampler=pc"], ["--sampler=ode"], *STEPPED, ["--solver=ReverseSDE"]]
"""Samplers with a corrector, adaptive, with a memory, of several stages, and adaptive with noise."""


def commands(workdir: Path, tiny: list[str]) -> list[list[str]]:
    """Training, every kind of sampler, likelihood and evaluation of the tiny run."""
    run, few = f"--workdir={workdir}", ["--num_samples=2", "--batch_size=2"]
    return [
        ["train", *tiny, run, "--config.training.preview.every=4", "--config.training.preview.sampler=pc"],
        *(["sample", run, *few, *kind] for kind in KINDS),
        ["likelihood", run, "--num_examples=2"],
        ["evaluate", run, "--num_samples=4", "--batch_size=4", "--num_examples=4"],
    ]


def counted(workdir: Path, cache: Path, tiny: list[str]) -> list[dict]:
    """How many programs each command asked for in a process of its own, how many were found, and the others' names."""
    root = Path(__file__).parents[2]
    settings = {
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
        "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]),
    }
    asked = json.dumps(commands(workdir, tiny))
    environment = {**os.environ, **settings}
    done = subprocess.run([sys.executable, "-c", PROGRAM, asked], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("COUNTS")]
    return json.loads(line.removeprefix("COUNTS"))


def test_a_second_process_compiles_nothing_that_the_first_one_did(tmp_path, sde_jax_tiny):
    first, second = (counted(tmp_path / name, tmp_path / "cache", sde_jax_tiny) for name in ("one", "other"))
    assert all(counts["asked"] for counts in first)
    asked = commands(tmp_path, sde_jax_tiny)
    compiled = {" ".join(a[:2]): c for a, c in zip(asked, second, strict=True) if c["asked"] != c["found"]}
    assert not compiled
