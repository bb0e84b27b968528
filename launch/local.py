"""Start one program as several processes of this machine, and again where they died.

    python launch/local.py -n 2 --restarts 3 -- train --config configs/digits_vp.py --workdir runs/two

Each process is given `--coordinator 127.0.0.1:PORT --process_count N --process_index I`, with a free port; one alone
is given nothing. What they write comes with [I] before each line.

A process that ends badly ends the others: they have `--grace` seconds to end by themselves, as many after a SIGTERM,
and are then killed. After that the exit codes of `sde-jax` decide: 75, 76 and 128 + n (ended by signal n) start the
group again, up to `--restarts` times, with another port; every other code, 2 and 3 among them, never does.

SIGTERM, SIGINT and SIGHUP are handed on once, to all, as SIGTERM, and nothing is started any more; a second SIGTERM or
SIGINT kills. SIGHUP, which a lost terminal sends more than once, does not count, and stays ignored where it was, as
under `nohup`. Where nobody reads what the processes write, they go on all the same. The exit code is that of the
process that first ended badly, or the first that forbids another start; 0 when all did well.
"""

import argparse
import io
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue, SimpleQueue
from typing import IO, TextIO

POLL = 0.2
"""Seconds after which signals and deadlines are looked at."""
PATIENCE = 5.0
"""Seconds for which a reader that has stopped reading is waited for, and what holds the pipe of an ended process."""
INTERRUPTED, STUCK = 75, 76
"""What `sde-jax` exits with after a save on a signal, and where no step ended in time."""


def restartable(code: int) -> bool:
    """Return whether the same command, run again, goes on where a process left with this code."""
    return code in (INTERRUPTED, STUCK) or code > 128


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass(frozen=True)
class Job:
    """What is started: a command, in how many processes, with how many virtual devices of the CPU each."""

    command: list[str]
    processes: int
    devices_per_process: int | None

    def arguments(self, index: int, port: int) -> list[str]:
        """Return the command of one process."""
        if self.processes == 1:
            return self.command
        where = ["--coordinator", f"127.0.0.1:{port}"]
        return [*self.command, *where, "--process_count", str(self.processes), "--process_index", str(index)]

    def environment(self) -> dict[str, str]:
        """Return the environment of every process."""
        environment = {"PYTHONUNBUFFERED": "1", **os.environ}
        if self.devices_per_process is not None:
            flag = f"--xla_force_host_platform_device_count={self.devices_per_process}"
            environment["XLA_FLAGS"] = f"{environment.get('XLA_FLAGS', '')} {flag}".strip()
            environment.setdefault("JAX_PLATFORMS", "cpu")
        return environment


class Voice:
    """Writes lines, on a thread, to standard output and standard error. Nobody need read them."""

    def __init__(self) -> None:
        self._lines: Queue[tuple[TextIO | None, str, threading.Event]] = Queue(1000)
        self._patience = PATIENCE
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        threading.Thread(target=self._write, daemon=True).start()

    def say(self, stream: TextIO | None, text: str) -> threading.Event:
        """Have a line written, and return what is set then; it is dropped where the reader has stopped reading."""
        written = threading.Event()
        try:
            self._lines.put((stream, text, written), timeout=self._patience)
            self._patience = PATIENCE
        except Full:
            self._patience = 0.0
        return written

    def _write(self) -> None:
        while True:
            stream, text, written = self._lines.get()
            if stream is not None:
                try:
                    print(text, file=stream, flush=True)
                except OSError:  # a pipe without a reader, a terminal that is lost, a full disk
                    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            written.set()

    def finish(self) -> bool:
        """Wait until all is written, and return whether it is: a reader may have stopped reading."""
        return self.say(None, "").wait(PATIENCE)


class Member:
    """One process, the first of a process group of its own; its end is put into `ends` as (index, exit code)."""

    def __init__(self, job: Job, index: int, port: int, ends: SimpleQueue, voice: Voice):
        self._index, self._ends, self._voice = index, ends, voice
        self._process = subprocess.Popen(
            job.arguments(index, port),
            env=job.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            process_group=0,
        )
        streams = ((self._process.stdout, sys.stdout), (self._process.stderr, sys.stderr))
        self._threads = [threading.Thread(target=self._copy, args=pair, daemon=True) for pair in streams]
        self._threads.append(threading.Thread(target=self._wait, daemon=True))
        for thread in self._threads:
            thread.start()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the process and all that it started."""
        if self._process.returncode is None:
            self._signal_group(number)

    def join(self) -> None:
        """Wait until all that an ended process wrote is shown."""
        for thread in self._threads:
            thread.join(PATIENCE)  # what left the group and lives on may hold the pipe

    def _copy(self, source: IO[str], target: TextIO | None) -> None:
        for line in filter(str.strip, source):  # a progress bar's return to the start is an empty line
            self._voice.say(target, f"[{self._index}] {line.rstrip()}")

    def _wait(self) -> None:
        os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        self._signal_group(signal.SIGKILL)  # while the number of the group is still its own
        code = self._process.wait()
        self._ends.put((self._index, code if code >= 0 else 128 - code))

    def _signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class Launcher:
    """Runs a job until it is done, gives up, or is told to stop."""

    def __init__(self, job: Job, restarts: int, grace: float, voice: Voice):
        self._job, self._restarts, self._grace, self._voice = job, restarts, grace, voice
        self._events: SimpleQueue = SimpleQueue()
        self._stopping = self._ordered = False

    def run(self) -> int:
        """Return the exit code."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda number, frame: self._events.put(signal.Signals(number)))
        started = 0
        while True:
            code, failed = self._run_once()
            if code == 0 or self._stopping or not restartable(code) or started == self._restarts:
                return code
            started += 1
            self._say(f"process {failed} ended with {code}; start {started} of {self._restarts} more")

    def _run_once(self) -> tuple[int, int]:
        """Start the group and see it to its end; return the exit code that counts and whose it is."""
        port = free_port()
        members = [Member(self._job, index, port, self._events, self._voice) for index in range(self._job.processes)]
        bad: list[tuple[int, int]] = []
        remaining, deadline, told = len(members), float("inf"), False
        while remaining:
            try:
                event = self._events.get(timeout=POLL)  # a signal just before a wait does not end it
            except Empty:
                if time.monotonic() >= deadline:
                    self._send(members, signal.SIGKILL if told else signal.SIGTERM)
                    told, deadline = True, time.monotonic() + self._grace
                continue
            if isinstance(event, signal.Signals):
                self._stop(members, event)
                continue
            remaining -= 1
            if event[1] != 0:
                deadline = min(deadline, time.monotonic() + self._grace)
                if not told:
                    bad.append((event[1], event[0]))
        for member in members:
            member.join()
        final = [end for end in bad if not restartable(end[0])]
        return (final or bad or [(0, 0)])[0]

    def _stop(self, members: list[Member], number: signal.Signals) -> None:
        if not self._stopping:
            self._say(f"{number.name}: handed on to all; a second one kills")
            self._send(members, signal.SIGTERM)
        elif self._ordered and number != signal.SIGHUP:
            self._say(f"{number.name}: killing all")
            self._send(members, signal.SIGKILL)
        self._stopping, self._ordered = True, self._ordered or number != signal.SIGHUP

    @staticmethod
    def _send(members: list[Member], number: signal.Signals) -> None:
        for member in members:
            member.send(number)

    def _say(self, text: str) -> None:
        self._voice.say(sys.stderr, f"launch: {text}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        description="Run a command in several processes of this machine.",
        usage="python launch/local.py [flags] -- COMMAND ...",
        allow_abbrev=False,
    )
    parser.add_argument("-n", "--processes", type=_count, default=1)
    parser.add_argument("--restarts", type=_natural, default=0, help="how often a group that died is started again")
    parser.add_argument("--grace", type=_seconds, default=30.0, help="seconds the others have once one ended badly")
    parser.add_argument("--devices_per_process", type=_count, help="virtual devices of the CPU")
    parser.add_argument("--program", help="what COMMAND is an argument of; default sde-jax, of this Python")
    given = list(sys.argv[1:] if argv is None else argv)
    end = given.index("--") if "--" in given else len(given)
    flags = parser.parse_args(given[:end])
    program = [sys.executable, "-m", "sde_jax"] if flags.program is None else shlex.split(flags.program)
    if not program or shutil.which(program[0]) is None:
        parser.error(f"--program {flags.program!r}: no such program")
    job = Job([*program, *given[end + 1 :]], flags.processes, flags.devices_per_process)
    voice = Voice()
    code = Launcher(job, flags.restarts, flags.grace, voice).run()
    if not voice.finish():
        os._exit(code)  # an ordinary exit would wait for the thread that writes to who reads no more
    return code


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1")
    return int(text)


def _natural(text: str) -> int:
    return 0 if text == "0" else _count(text)


def _seconds(text: str) -> float:
    try:
        seconds = -1.0 if "_" in text else float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected seconds")
    return seconds


if __name__ == "__main__":
    sys.exit(main())
