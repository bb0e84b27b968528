"""Render a job script for SLURM: one task a GPU, saved before the time limit, queued again until the run is done.

    python launch/slurm.py --name ffhq --nodes 2 --gpus_per_node 4 --time 1-00:00:00 \\
        -- train --config configs/ve/ffhq_ncsnpp_continuous.py --workdir runs/ffhq > ffhq.sbatch
    sbatch ffhq.sbatch

Signals. `--signal=TERM@SECONDS` without "B:" goes to the tasks and not to the shell of the script: each task gets
one SIGTERM, saves and leaves with 75. Handing signals on from the shell would end the tasks: an `srun` that receives
SIGTERM kills its step, and a second SIGTERM is the order to stop without saving.

GPUs. Every task sees all GPUs of its node (`--gpu-bind=none`), and the one of its SLURM_LOCALID is its own. With
`--gpus-per-task=1` SLURM would hide the others, and NCCL could not reach them directly.

Exit codes. 75 queues the job again, 76 and 128 + n do so `--restarts` times, every other code ends it. `srun` returns
the highest code of the tasks that left by themselves; a lower one that ends the job is read from what it says of each.
"""

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass

SCRIPT = """\
#!/bin/bash
{directives}

set -e
log="$PWD/$SLURM_JOB_NAME-$SLURM_JOB_ID.log"
faults="${{log%.log}}.faults"
touch "$log"  # another name may have been given to sbatch
before=$(wc -c < "$log")
{setup}
code=0
srun --kill-on-bad-exit=1 --gpu-bind=none --cpus-per-task={cpus} --label \\
  {command} || code=$?

# A task that fails for good ends the others with 76, and srun returns the highest code: here is the one that counts.
said=$(tail -c "+$((before + 1))" "$log" | sed -n 's/^srun: error: .*: Exited with exit code //p')
final=$(awk '$1 != 75 && $1 != 76 && $1 <= 128 {{ print $1; exit }}' <<< "$said")
code=${{final:-$code}}

# 75: interrupted and saved. 76 and from 129 on: stuck, or ended by a signal; these are counted.
if [ "$code" -eq 76 ] || [ "$code" -gt 128 ]; then
  echo "$code" >> "$faults"
  again=$(( $(wc -l < "$faults") <= {restarts} ))
else
  again=$(( code == 75 ))
fi
if [ "$again" -eq 1 ]; then
  echo "exit code $code: queued again"
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


@dataclass(frozen=True)
class Script:
    """A job: what is asked of SLURM, lines run before the tasks, and the command of every task."""

    name: str
    nodes: int
    gpus_per_node: int
    cpus_per_task: int
    time: str
    signal_seconds: int
    restarts: int
    extra: dict[str, str | None]
    setup: list[str]
    command: list[str]

    def __str__(self) -> str:
        """Return the text."""
        return SCRIPT.format(
            directives="\n".join(f"#SBATCH {directive}" for directive in self._directives()),
            setup="".join(f"{line}\n" for line in self.setup),
            cpus=self.cpus_per_task,
            command=shlex.join(self.command),
            restarts=self.restarts,
        )

    def _directives(self) -> list[str]:
        return [
            f"--job-name={self.name}",
            f"--nodes={self.nodes}",
            f"--ntasks-per-node={self.gpus_per_node}",
            f"--gpus-per-node={self.gpus_per_node}",
            f"--cpus-per-task={self.cpus_per_task}",
            *(f"--{name}={value}" for name, value in self.extra.items() if value is not None),
            f"--time={self.time}",
            f"--signal=TERM@{self.signal_seconds}",
            "--requeue",
            "--open-mode=append",
            "--output=%x-%j.log",
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = _parser()
    given = list(sys.argv[1:] if argv is None else argv)
    end = given.index("--") if "--" in given else len(given)
    flags, arguments = parser.parse_args(given[:end]), given[end + 1 :]
    if not arguments:
        parser.error("nothing to run: expected a command after --, like -- train --config ... --workdir ...")
    if flags.signal_seconds >= _seconds(flags.time):
        parser.error(f"--signal_seconds {flags.signal_seconds}: expected less than --time {flags.time}")
    extra = {name: getattr(flags, name) for name in EXTRA}
    distributed = [] if "--distributed" in arguments else ["--distributed"]
    script = Script(
        flags.name,
        flags.nodes,
        flags.gpus_per_node,
        flags.cpus_per_task,
        flags.time,
        flags.signal_seconds,
        flags.restarts,
        {"mem" if name == "memory" else name: value for name, value in extra.items()},
        flags.setup,
        [*shlex.split(flags.program), *arguments, *distributed],
    )
    sys.stdout.write(str(script))
    return 0


EXTRA = ("partition", "account", "qos", "constraint", "memory")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Render a job script for SLURM.",
        usage="python launch/slurm.py [flags] -- COMMAND ... > FILE",
        allow_abbrev=False,
    )
    parser.add_argument("--name", type=_name, default="sde-jax")
    parser.add_argument("--nodes", type=_count, default=1)
    parser.add_argument("--gpus_per_node", type=_count, default=1, help="and tasks a node")
    parser.add_argument("--cpus_per_task", type=_count, default=8)
    parser.add_argument("--time", type=_time, default="1-00:00:00", metavar="[D-]HH:MM:SS")
    signal = "how long before the time limit the tasks are told to save; default 300"
    parser.add_argument("--signal_seconds", type=_lead, default=300, help=signal)
    restarts = "how often a job that was stuck or killed is queued again; default 5"
    parser.add_argument("--restarts", type=_natural, default=5, help=restarts)
    for name in EXTRA:
        parser.add_argument(f"--{name}", type=_value)
    setup = "a line of shell run before the tasks, like 'module load cuda'; may be repeated"
    parser.add_argument("--setup", action="append", default=[], help=setup)
    parser.add_argument("--program", default="sde-jax", help="what COMMAND is an argument of")
    return parser


def _name(text: str) -> str:
    return _matching(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", text, "letters, digits, '.', '_' and '-'")


def _value(text: str) -> str:
    return _matching(r"[\w.,:&|*()\[\]@/+-]+", text, "a value without spaces or quotes")


def _time(text: str) -> str:
    return _matching(r"(\d{1,3}-)?\d{1,2}:[0-5]\d:[0-5]\d", text, "[days-]hours:minutes:seconds")


def _lead(text: str) -> int:
    return int(_matching(r"[1-9]\d{1,3}", text, "10 to 9999 seconds"))


def _count(text: str) -> int:
    return int(_matching(r"[1-9]\d{0,5}", text, "a whole number from 1"))


def _natural(text: str) -> int:
    return int(_matching(r"\d{1,6}", text, "a whole number"))


def _matching(pattern: str, text: str, expected: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
    return text


def _seconds(time: str) -> int:
    days, _, clock = time.rpartition("-")
    hours, minutes, seconds = map(int, clock.split(":"))
    return ((int(days or 0) * 24 + hours) * 60 + minutes) * 60 + seconds


if __name__ == "__main__":
    sys.exit(main())
