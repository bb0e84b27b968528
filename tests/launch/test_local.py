"""Groups of processes: children that do as they are told stand in for `sde-jax`."""

import json
import re
import shlex
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from launch import local
from sde_jax import processes

CHILD = """
import json, os, signal, subprocess, sys, time
folder, plan, *flags = sys.argv[1:]
index = int(flags[-1]) if flags else 0
mine = os.path.join(folder, f"{index}.json")
starts = json.load(open(mine)) if os.path.exists(mine) else []
received = []

def terminated(number, frame):
    received.append(number)
    open(os.path.join(folder, f"{index}.signals"), "a").write(f"{number}\\n")
    if behaviour == "save":
        time.sleep(0.05)
        sys.exit(75)

signal.signal(signal.SIGTERM, terminated)
grandchild = subprocess.Popen(["sleep", "60"]).pid if "parent" in plan else None
behaviour = plan.split("/")[min(len(starts), plan.count("/"))].split(",")[index]
starts.append({"flags": flags, "xla": os.environ.get("XLA_FLAGS"), "platforms": os.environ.get("JAX_PLATFORMS"),
               "grandchild": grandchild})
with open(mine + ".new", "w") as file:
    json.dump(starts, file)
os.replace(mine + ".new", mine)
print("start", len(starts))
print("to stderr", file=sys.stderr)
verb, *value = behaviour.split()
if verb in ("save", "stubborn"):
    while True:
        time.sleep(0.01)
if verb == "later":
    time.sleep(0.2)
if verb == "kill":
    os.kill(os.getpid(), int(value[0]))
sys.exit(int(value[0]))
"""


@dataclass
class Group:
    """A launcher whose child I does in start K what the plan says: "start 0 of 0,start 0 of 1/start 1 of 0,..."."""

    folder: Path
    process: object

    def starts(self, index: int) -> list[dict]:
        file = self.folder / f"{index}.json"
        return json.loads(file.read_text()) if file.exists() else []

    def await_starts(self, processes: int) -> None:
        deadline = time.monotonic() + 900
        while not all(self.starts(index) for index in range(processes)):
            assert self.process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def signals(self, index: int) -> list[str]:
        file = self.folder / f"{index}.signals"
        return file.read_text().split() if file.exists() else []

    def end(self) -> tuple[int, str, str]:
        out, err = self.process.communicate(timeout=900)
        return self.process.returncode, out, err


@pytest.fixture
def group(script, tmp_path):
    child = tmp_path / "child.py"
    child.write_text(CHILD)
    program = shlex.join([sys.executable, "-S", str(child)])

    def start(plan: str, *flags: object, **environment: str) -> Group:
        processes = plan.split("/")[0].count(",") + 1
        arguments = ["-n", processes, "--grace", 0.3, "--program", program, *flags, "--", tmp_path, plan]
        return Group(tmp_path, script("local.py", *arguments, **environment))

    return start


def test_codes_are_those_of_the_library():
    assert (local.INTERRUPTED, local.STUCK) == (processes.INTERRUPTED, processes.ENDED)


def test_every_process_is_told_the_others_and_its_number(group):
    run = group("exit 0,exit 0,exit 0")
    assert run.end()[0] == 0
    flags = [run.starts(index)[0]["flags"] for index in range(3)]
    assert re.fullmatch(r"127\.0\.0\.1:\d+", flags[0][1])
    assert flags == [
        ["--coordinator", flags[0][1], "--process_count", "3", "--process_index", str(index)] for index in range(3)
    ]


def test_one_process_alone_is_run_as_it_is(group):
    run = group("exit 0")
    assert run.end()[0] == 0
    assert run.starts(0)[0]["flags"] == []


def test_lines_carry_the_number_of_their_process_and_keep_their_stream(group):
    _, out, err = group("exit 0,exit 0").end()
    assert sorted(out.splitlines()) == ["[0] start 1", "[1] start 1"]
    assert sorted(err.splitlines()) == ["[0] to stderr", "[1] to stderr"]


def test_a_progress_bar_is_shown_as_lines(script):
    program = shlex.join([sys.executable, "-c", r"print('\ra\rb\rc'); print('d', end='')"])
    out, _ = script("local.py", "--program", program).communicate(timeout=900)
    assert out.splitlines() == ["[0] a", "[0] b", "[0] c", "[0] d"]


@pytest.mark.parametrize("code", [1, 2, 3, 77, 128])
def test_a_code_that_forbids_it_is_not_followed_by_another_start(group, code):
    run = group(f"save,exit {code}", "--restarts", 3)
    assert run.end()[0] == code
    assert len(run.starts(0)) == len(run.starts(1)) == 1


@pytest.mark.parametrize("end", ["exit 75", "exit 76", "kill 9", "kill 6", "exit 143"])
def test_a_group_that_can_go_on_is_started_again_on_another_port(group, end):
    run = group(f"{end},save/exit 0,exit 0", "--restarts", 1)
    code, _, err = run.end()
    assert code == 0
    ports = {start["flags"][1] for index in (0, 1) for start in run.starts(index)}
    assert len(run.starts(0)) == len(run.starts(1)) == len(ports) == 2
    assert "start 1 of 1" in err


def test_restarts_are_counted(group):
    run = group("exit 76", "--restarts", 2)
    assert run.end()[0] == 76
    assert len(run.starts(0)) == 3


def test_the_code_is_that_of_the_first_that_ended_badly_and_128_plus_n_for_a_signal(group):
    assert group("kill 9,save").end()[0] == 128 + 9
    assert group("later 76,exit 75").end()[0] == 75


def test_a_code_that_forbids_another_start_counts_whoever_was_first(group):
    run = group("exit 76,later 3", "--restarts", 3)
    assert run.end()[0] == 3
    assert len(run.starts(0)) == 1


def test_the_others_are_terminated_after_the_grace_and_killed_after_another(group):
    began = time.monotonic()
    run = group("exit 3,save,stubborn")
    assert run.end()[0] == 3
    assert run.signals(1) == run.signals(2) == [str(int(signal.SIGTERM))]
    assert time.monotonic() - began > 0.6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_asked_to_stop_it_tells_each_process_once_and_starts_nothing(group, number):
    run = group("save,save", "--restarts", 3)
    run.await_starts(2)
    run.process.send_signal(number)
    assert run.end()[0] == 75
    assert run.signals(0) == run.signals(1) == [str(int(signal.SIGTERM))]
    assert len(run.starts(0)) == 1


def test_asked_twice_it_kills_at_once(group):
    run = group("stubborn,stubborn", "--grace", 3600)
    run.await_starts(2)
    run.process.send_signal(signal.SIGTERM)
    run.process.send_signal(signal.SIGINT)
    assert run.end()[0] == 128 + 9


def test_what_a_process_started_dies_with_it(group):
    run = group("exit 0,exit 0/parent")
    assert run.end()[0] == 0
    for index in (0, 1):
        status = Path("/proc", str(run.starts(index)[0]["grandchild"]), "status")
        assert not status.exists() or "State:\tZ" in status.read_text()


def test_virtual_devices_are_added_to_the_flags_that_are_there(group):
    run = group("exit 0", "--devices_per_process", 4, XLA_FLAGS="--xla_dump_to=x", JAX_PLATFORMS="")
    assert run.end()[0] == 0
    start = run.starts(0)[0]
    assert start["xla"] == "--xla_dump_to=x --xla_force_host_platform_device_count=4"


@pytest.mark.parametrize(
    "flags", [["-n", "0"], ["--restarts", "-1"], ["--grace", "nan"], ["--program", ""], ["--program", "no-such"]]
)
def test_a_flag_that_cannot_be_used_is_told_in_one_line(script, flags):
    process = script("local.py", *flags, "--", "train")
    _, err = process.communicate(timeout=900)
    assert process.returncode == 2
    assert "Traceback" not in err
    assert flags[0] in err.splitlines()[-1]


def test_two_jax_processes_add_up_over_gloo(script, sum_over_processes):
    program = shlex.join([sys.executable, str(sum_over_processes)])
    process = script("local.py", "-n", 2, "--devices_per_process", 2, "--program", program, XLA_FLAGS="")
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    sums = sorted(line for line in out.splitlines() if "sum" in line)
    assert sums == [f"[{index}] process {index} of 2, devices 4, sum 6" for index in (0, 1)]


@pytest.mark.parametrize("close", [True, False])
def test_processes_go_on_where_their_reader_is_gone_or_has_stopped_reading(script, tmp_path, close):
    program = "import sys\nfor i in range(9000): print(i, 'x' * 50)\nopen(sys.argv[1], 'w').close()"
    run = script("local.py", "--program", shlex.join([sys.executable, "-c", program]), "--", tmp_path / "done")
    assert run.stdout.readline().startswith("[0] 0 x")
    if close:
        run.stdout.close()
        run.stdout = None  # which the fixture would read
    assert run.wait(timeout=900) == 0
    assert (tmp_path / "done").exists()


def test_a_terminal_that_is_lost_says_so_more_than_once_and_kills_nothing(group):
    run = group("save,save", "--grace", 60)
    run.await_starts(2)
    for number in (signal.SIGHUP, signal.SIGHUP, signal.SIGTERM):
        run.process.send_signal(number)
    assert run.end()[0] == 75
    assert run.signals(0) == run.signals(1) == [str(int(signal.SIGTERM))]


def test_a_hang_up_that_was_ignored_is_ignored(script):
    program = shlex.join([sys.executable, "-c", "import time; print('here', flush=True); time.sleep(3)"])
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
    try:
        run = script("local.py", "--program", program)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert run.stdout.readline() == "[0] here\n"
    run.send_signal(signal.SIGHUP)
    assert run.wait(timeout=900) == 0
