"""SLURM is played by an `srun` that starts the tasks as it does and a `scontrol` that writes down what it is told."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import suppress

import pytest

from launch import slurm

EXPECTED = """\
#!/bin/bash
#SBATCH --job-name=ffhq
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=4
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=6
#SBATCH --partition=gpu
#SBATCH --mem=200G
#SBATCH --time=1-00:00:00
#SBATCH --signal=TERM@600
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

set -e
log="$PWD/$SLURM_JOB_NAME-$SLURM_JOB_ID.log"
faults="${log%.log}.faults"
touch "$log"  # another name may have been given to sbatch
before=$(wc -c < "$log")
module load cuda

code=0
srun --kill-on-bad-exit=1 --gpu-bind=none --cpus-per-task=6 --label \\
  sde-jax train --config 'a b.py' --workdir runs/ffhq --distributed || code=$?

# A task that fails for good ends the others with 76, and srun returns the highest code: here is the one that counts.
said=$(tail -c "+$((before + 1))" "$log" | sed -n 's/^srun: error: .*: Exited with exit code //p')
final=$(awk '$1 != 75 && $1 != 76 && $1 <= 128 { print $1; exit }' <<< "$said")
code=${final:-$code}

# 75: interrupted and saved. 76 and from 129 on: stuck, or ended by a signal; these are counted.
if [ "$code" -eq 76 ] || [ "$code" -gt 128 ]; then
  echo "$code" >> "$faults"
  again=$(( $(wc -l < "$faults") <= 5 ))
else
  again=$(( code == 75 ))
fi
if [ "$again" -eq 1 ]; then
  echo "exit code $code: queued again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""

SRUN = """#!{python}
import os, subprocess, sys
arguments = sys.argv[1:]
while arguments[0].startswith("-"):
    arguments.pop(0)
count = int(os.environ["SLURM_NTASKS"])
tasks = [
    subprocess.Popen(arguments, env={{**os.environ, "SLURM_PROCID": str(task), "SLURM_LOCALID": str(task),
                                     "SLURM_STEP_NODELIST": "localhost", "SLURM_STEP_NUM_NODES": "1"}})
    for task in range(count)
]
codes = [task.wait() for task in tasks]
for task, code in enumerate(codes):
    if code > 0:
        print(f"srun: error: node1: task {{task}}: Exited with exit code {{code}}", file=sys.stderr)
    if code < 0:
        print(f"srun: error: node1: task {{task}}: Killed", file=sys.stderr)
sys.exit(max(codes) if max(codes) > 0 else 128 - min(codes) if min(codes) else 0)
"""


@pytest.fixture
def render(capsys):
    """The script of a command line."""

    def text(*arguments: str) -> str:
        assert slurm.main(arguments) == 0
        return capsys.readouterr().out

    return text


@pytest.fixture
def submit(tmp_path):
    """Run a script as SLURM would; return its exit code, its output, and what `scontrol` was told."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "srun").write_text(SRUN.format(python=sys.executable))
    (programs / "scontrol").write_text('#!/bin/bash\necho "$*" >> scontrol\n')
    for program in programs.iterdir():
        program.chmod(0o755)

    def run(script: str, tasks: int = 1, job: int = 7) -> tuple[int, str, list[str]]:
        path = {"PATH": f"{programs}:{os.environ['PATH']}"}
        job_is = {"SLURM_JOB_ID": str(job), "SLURM_JOB_NAME": "name", "SLURM_NTASKS": str(tasks)}
        log, told = tmp_path / f"name-{job}.log", tmp_path / "scontrol"
        with log.open("a") as file:
            environment = {**os.environ, **path, **job_is}
            ended = subprocess.run(
                ["bash", "-c", script], env=environment, cwd=tmp_path, stdout=file, stderr=file, timeout=900
            )
        return ended.returncode, log.read_text(), told.read_text().splitlines() if told.exists() else []

    return run


def test_the_script_of_two_nodes_with_four_gpus_each(render):
    text = render(
        *["--name", "ffhq", "--nodes", "2", "--gpus_per_node", "4", "--cpus_per_task", "6", "--partition", "gpu"],
        *["--memory", "200G", "--time", "1-00:00:00", "--signal_seconds", "600", "--setup", "module load cuda"],
        *["--", "train", "--config", "a b.py", "--workdir", "runs/ffhq"],
    )
    assert text == EXPECTED


def test_the_script_is_bash_without_a_warning(render, tmp_path):
    script = tmp_path / "job"
    script.write_text(render("--setup", "true", "--", "train", "--config", "it's $HOME"))
    checked = subprocess.run(["bash", "-n", script], capture_output=True, text=True)
    assert (checked.returncode, checked.stderr) == (0, "")
    if shutil.which("shellcheck"):
        assert subprocess.run(["shellcheck", "--exclude=SC2016", script]).returncode == 0  # $HOME is meant as it is


@pytest.mark.parametrize(("code", "requeued"), [(0, 0), (1, 0), (2, 0), (3, 0), (75, 1), (76, 1), (137, 1), (143, 1)])
def test_the_job_is_queued_again_where_the_run_can_go_on(render, submit, code, requeued):
    ended, _, told = submit(render("--program", "bash -c", "--", f"exit {code}"))
    assert ended == code
    assert told == ["requeue 7"] * requeued


@pytest.mark.parametrize(
    ("codes", "counts"), [((76, 3), 3), ((2, 76), 2), ((76, 1), 1), ((75, 76), 76), ((0, 137), 137), ((0, 0), 0)]
)
def test_a_code_that_ends_the_job_is_not_hidden_by_those_of_the_other_tasks(render, submit, codes, counts):
    script = render("--program", "bash -c", "--", f"exit $(( SLURM_PROCID ? {codes[1]} : {codes[0]} ))")
    ended, _, told = submit(script, tasks=2)
    assert ended == counts
    assert told == ["requeue 7"] * (counts in (76, 137))


def test_what_an_earlier_start_of_the_job_said_ends_no_later_one(render, submit):
    assert submit(render("--program", "bash -c", "--", "exit 3"))[0] == 3
    assert submit(render("--program", "bash -c", "--", "exit 76"))[0] == 76


def test_a_task_that_is_killed_is_128_and_its_signal(render, submit):
    assert submit(render("--program", "bash -c", "--", "kill -9 $$"))[0] == 137


def test_faults_are_counted_and_interruptions_are_not(render, submit):
    stuck, interrupted = (render("--restarts", "2", "--program", "bash -c", "--", f"exit {code}") for code in (76, 75))
    requeues = [len(submit(script)[2]) for script in (stuck, interrupted, stuck, interrupted, stuck, interrupted)]
    assert requeues == [1, 2, 3, 4, 4, 5]


def test_a_setup_that_fails_runs_nothing(render, submit):
    ended, output, told = submit(render("--setup", "false", "--program", "echo", "--", "ran"))
    assert (ended, "ran" in output, told) == (1, False, [])


def test_every_task_is_given_the_arguments_as_they_are(render, submit):
    _, output, _ = submit(render("--program", "printf <%s>", "--", "it's", "$HOME", "a b", '"'), tasks=2)
    assert output.splitlines()[-1] == """<it's><$HOME><a b><"><--distributed>""" * 2


def free_job() -> int:
    """The number of a job for which JAX takes a port that is free here: 2**16 - 2**12 + job % 2**12."""
    for port in range(2**16 - 2**12, 2**16):
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("", port))
            return port
    raise AssertionError("no port is free")


def test_two_jax_processes_find_each_other_by_what_slurm_tells_them(render, submit, sum_over_processes):
    text = render("--program", f"{sys.executable} {sum_over_processes}", "--", "train")
    ended, output, _ = submit(text, tasks=2, job=free_job())
    assert ended == 0, output
    assert sorted(re.findall(r"process \d of .*", output)) == [f"process {i} of 2, devices 2, sum 3" for i in (0, 1)]


@pytest.mark.slow
def test_a_run_trains_in_two_tasks(render, submit, repository, tmp_path, monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    monkeypatch.setenv("XDG_CACHE_HOME", str(repository / ".jax_cache"))
    monkeypatch.setenv("PYTHONPATH", str(repository))
    small = {"network.width": 16, "network.depth": 1, "training.steps": 4, "training.batch_size": 16}
    settings = [f"--config.{name}={value}" for name, value in small.items()]
    command = ["train", "--config", str(repository / "configs" / "digits_vp.py"), "--workdir", str(tmp_path / "run")]
    text = render("--program", f"{sys.executable} -m sde_jax", "--", *command, *settings)
    ended, output, _ = submit(text, tasks=2, job=free_job())
    assert ended == 0, output
    assert json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])["step"] == 4


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--name", "a b"], "'a b': expected letters"),
        (["--partition", "x\n#SBATCH --exclusive"], "expected a value without spaces"),
        (["--time", "24"], "'24': expected [days-]hours:minutes:seconds"),
        (["--time", "00:05:00", "--signal_seconds", "300"], "expected less than --time 00:05:00"),
        (["--gpus_per_node", "0"], "'0': expected a whole number from 1"),
        (["--signal_seconds", "5"], "'5': expected 10 to 9999 seconds"),
    ],
)
def test_a_flag_that_cannot_be_used_is_told_in_one_line(capsys, flags, said):
    with pytest.raises(SystemExit) as exit:
        slurm.main([*flags, "--", "train"])
    assert exit.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_without_a_command_there_is_nothing_to_run(capsys):
    with pytest.raises(SystemExit) as exit:
        slurm.main([])
    assert exit.value.code == 2
    assert "expected a command after --" in capsys.readouterr().err
