"""Look at a node before a job: one line for each thing that a run relies on, exit code 2 where one is wrong.

    python launch/check.py --workdir runs/ffhq --platform gpu --devices 8

Run by every process of a job (`srun python launch/check.py ...`), it also sees whether they share the workdir: each
leaves a note there and waits until every other one has answered it. How many they are is read from SLURM, Open MPI or
the environment of a TPU slice, or is said by --process_count and --process_index.

Versions, devices and the compilation cache are those that `sde-jax doctor` tells.
"""

import argparse
import fcntl
import json
import os
import resource
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
SKEW = 5.0
"""Seconds by which clocks may differ."""


@dataclass(frozen=True)
class Finding:
    """What was seen of one thing, and what is wrong with it, if anything."""

    thing: str
    seen: str
    wrong: str = ""

    def __str__(self) -> str:
        """Return the line."""
        return f"{'WRONG' if self.wrong else 'ok':<6} {self.thing:<12} {self.seen}{self.wrong and f': {self.wrong}'}"


def of_doctor(facts: dict[str, str], platform: str | None, devices: int | None) -> list[Finding]:
    """Return what `sde-jax doctor --json` says of Python, JAX, the devices and the compilation cache."""
    count, _, kind = facts["devices"].partition(" x ")
    there = "cpu" if kind == "cpu" else "tpu" if kind.startswith("TPU") else "gpu"
    wrong = [f"expected {platform}"] * (platform not in (None, there))
    wrong += [f"expected {devices}"] * (devices not in (None, int(count)))
    cache = Path(facts["compilation cache"])
    unkept = "" if facts["compilation cache"] == "off" or _writable(cache) else "cannot be written"
    return [
        Finding("python", facts["python"]),
        Finding("jax", f"{facts['jax']}, sde_jax {facts['sde_jax']}"),
        Finding("devices", facts["devices"], ", ".join(wrong)),
        Finding("cache", str(cache), unkept),
    ]


def workdir(path: Path, free_gib: float) -> list[Finding]:
    """Return whether a directory can be written and locked, and its free space; makes it where it is missing."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".check-{secrets.token_hex(8)}"
        probe.write_text("written")
        with probe.open() as file:
            locks = _locks(file.fileno())
        skew = time.time() - probe.stat().st_mtime
        probe.unlink()
        free = shutil.disk_usage(path).free / GIB
    except OSError as error:
        return [Finding("workdir", str(path), error.strerror or str(error))]
    return [
        Finding("workdir", f"{path}, {'locks' if locks else 'no locks: keep other runs out of it yourself'}"),
        Finding("space", f"{free:.1f} GiB free", "" if free >= free_gib else f"expected {free_gib:g} GiB (--free_gib)"),
        Finding(
            "clock", f"{skew:+.1f} s from the file system", "" if abs(skew) < SKEW else f"expected {SKEW:g} s at most"
        ),
    ]


def shared(path: Path, count: int, index: int, timeout: float) -> Finding:
    """Return whether all processes see each other's notes in a directory.

    A note is answered by its random number, so that no note of an earlier check can be taken for one of this.
    """
    me = f"{index} of {count}"
    notes, nonce, others = path / ".check", secrets.token_hex(8), set(range(count)) - {index}
    answered, done, deadline = set(), False, time.monotonic() + timeout
    try:
        notes.mkdir(parents=True, exist_ok=True)
        while time.monotonic() < deadline:
            read = {i: _note(notes / str(i)) for i in others}
            gone = {i for i in answered if not read[i]["nonce"]}  # who takes its note away has seen all
            answered |= {i for i in others if nonce in read[i]["seen"]}
            done = answered == others
            _write(notes / str(index), {"nonce": nonce, "seen": [n["nonce"] for n in read.values()], "done": done})
            if done and all(i in gone or read[i]["done"] for i in others):
                (notes / str(index)).unlink()
                break
            time.sleep(0.1)
        with suppress(OSError):
            notes.rmdir()
    except OSError as error:
        return Finding("processes", me, error.strerror or str(error))
    return Finding("processes", me, "" if done else f"{len(answered)} of {count - 1} others answered in {path}")


def port(number: int) -> Finding:
    """Return whether a port of this node is free."""
    with socket.socket() as listener:
        try:
            listener.bind(("", number))
        except OSError as error:
            return Finding("port", str(number), error.strerror or str(error))
    return Finding("port", f"{number} is free")


def memory(least_gib: float) -> Finding:
    """Return the memory that a process may use: what is free, and the limits of its control group and its own."""
    limits = {name: value / GIB for name, value in _limits().items()}
    seen = ", ".join(f"{name} {value:.1f} GiB" for name, value in limits.items())
    wrong = "" if min(limits.values()) >= least_gib else f"expected {least_gib:g} GiB (--memory_gib)"
    return Finding("memory", seen, wrong)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    flags = _parser().parse_args(argv)
    findings = [
        *_doctor(flags.platform, flags.devices),
        memory(flags.memory_gib),
        *workdir(flags.workdir, flags.free_gib),
        *([port(flags.port)] if flags.port and flags.process_index == 0 else []),
    ]
    if flags.process_count > 1:
        findings.append(shared(flags.workdir, flags.process_count, flags.process_index, flags.timeout))
    print("\n".join(map(str, findings)))
    return 2 if any(finding.wrong for finding in findings) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Look at a node before a job.", allow_abbrev=False)
    count, index = _place()
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--platform", choices=("cpu", "gpu", "tpu"), help="what JAX is to run on")
    parser.add_argument("--devices", type=int, help="how many this process is to see")
    parser.add_argument("--free_gib", type=float, default=20.0, help="of the workdir's file system; default 20")
    parser.add_argument("--memory_gib", type=float, default=4.0, help="of this process; default 4")
    parser.add_argument("--process_count", type=int, default=count, help=f"default, here: {count}")
    parser.add_argument("--process_index", type=int, default=index, help=f"default, here: {index}")
    parser.add_argument("--port", type=int, default=_slurm_port(), help="the first process's, for the others")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds to wait for the others; default 120")
    return parser


def _doctor(platform: str | None, devices: int | None) -> list[Finding]:
    command = [sys.executable, "-m", "sde_jax", "doctor", "--json"]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode:
        last = (ended.stderr.strip().splitlines() or ["nothing said"])[-1]
        return [Finding("sde-jax", " ".join(command[1:]), f"exit code {ended.returncode}, {last}")]
    return of_doctor(json.loads(ended.stdout), platform, devices)


def _place() -> tuple[int, int]:
    """Return the number of processes and which one this is, as the environment tells them; else one alone."""
    environment = {"TPU_WORKERS": str(len(os.environ.get("TPU_WORKER_HOSTNAMES", "").split(","))), **os.environ}
    for count, index in (
        ("SLURM_NTASKS", "SLURM_PROCID"),
        ("OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
        ("TPU_WORKERS", "TPU_WORKER_ID"),
    ):
        if count in environment and index in environment:
            return int(environment[count]), int(environment[index])
    return 1, 0


def _slurm_port() -> int | None:
    """Return the port that JAX takes for the coordinator of a SLURM job, the last 4096 by the job's number."""
    job = os.environ.get("SLURM_JOB_ID")
    return 2**16 - 2**12 + int(job) % 2**12 if job else None


def _limits() -> dict[str, float]:
    with suppress(OSError):
        facts = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        limits = {"free": float(facts["MemAvailable"].split()[0]) * 1024}
        for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
            with suppress(OSError, ValueError):  # "max" is no limit
                limits["group"] = float(Path(file).read_text())
        own = resource.getrlimit(resource.RLIMIT_AS)[0]
        limits["own"] = float("inf") if own == resource.RLIM_INFINITY else float(own)
        return {name: value for name, value in limits.items() if value < 2**60}
    return {"free": float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))}


def _writable(path: Path) -> bool:
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    return os.access(there, os.W_OK | os.X_OK)


def _locks(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _note(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return {"nonce": "", "seen": [], "done": False}


def _write(path: Path, note: dict) -> None:
    new = path.with_suffix(".new")
    new.write_text(json.dumps(note))
    new.replace(path)


if __name__ == "__main__":
    sys.exit(main())
