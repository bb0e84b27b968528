"""Flags that several commands have."""

import argparse

from sde_jax.cli.values import count, given, path, seed, shape

EXIT_CODES = (
    "exit codes: 0 done; 2 something given cannot be used; 3 the run stopped itself, or a file could not be used; "
    "75 interrupted, run the same command again; 76 ended by another process that failed or is gone, or stuck"
)


def workdir_flag(parser: argparse.ArgumentParser) -> None:
    """Add --workdir."""
    parser.add_argument("--workdir", type=path, required=True, help="the run's directory")


def average_flag(parser: argparse.ArgumentParser) -> None:
    """Add --average."""
    parser.add_argument(
        "--average", type=given, metavar="NAME", help="which of the run's averages; default what its config says"
    )


def process_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of one process of several."""
    group = parser.add_argument_group("one process of several, on this machine or others; the same command for all")
    detected = "as SLURM, Open MPI, Kubernetes or a Cloud TPU says"
    group.add_argument("--distributed", action="store_true", help=detected)
    group.add_argument("--coordinator", metavar="HOST:PORT", help="by hand: where process 0 is, a free port of it")
    group.add_argument("--process_count", type=count, metavar="N", help="how many there are")
    group.add_argument("--process_index", type=seed, metavar="I", help="which of them this is, from 0")
    group.add_argument("--wait", type=count, default=300, metavar="SECONDS", help="for all to come; default 300")


def shape_flag(parser: argparse.ArgumentParser) -> None:
    """Add --shape."""
    purpose = "of an image, where the config's data are not here"
    parser.add_argument("--shape", type=shape, metavar="H,W,C", help=purpose)


def json_flag(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")


def compile_flag(parser: argparse.ArgumentParser) -> None:
    """Add --compile."""
    purpose = "compile the train step too, which takes minutes: temporaries in memory and the compiler's time"
    parser.add_argument("--compile", action="store_true", help=purpose)
