"""The flags of every command."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from absl.flags import argparse_flags

from sde_jax.cli.data_flags import data_flags
from sde_jax.cli.guidance_flags import guidance_flags
from sde_jax.cli.meant import meant
from sde_jax.cli.restoration_flags import calibrate_flags, restore_flags
from sde_jax.cli.shared_flags import (
    EXIT_CODES,
    average_flag,
    compile_flag,
    json_flag,
    process_flags,
    shape_flag,
    workdir_flag,
)
from sde_jax.cli.values import checkpoints, count, count_or_none, counts, given, names, path, real, seed
from sde_jax.version import __version__

SOLVER = "a class of sde_jax.sampling, on a grid that suits it: DDIM, DPMSolverMultistep, UniPC, ReverseSDE, ..."
OVERRIDE = re.compile(r"--config\.([^=]+)(?:=(.*))?", re.DOTALL)

CONFIGURED = ("train", "run", "doctor", "train-features", "train-classifier")
"""Commands whose --config takes overrides."""
CHANGING = ("convert", "data", "evaluate", "restore", "calibrate")
"""Commands that take overrides without it."""


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the command's flags, `--config.path=value` gathered in `overrides`; exits with 2 where they are off."""
    parser = _parser()
    arguments, overrides = _split(list(argv[1:]), parser.error)
    flags, unknown = parser.parse_known_args(arguments)
    if unknown:
        advice = meant(unknown, flags, overridden=flags.command in (*CONFIGURED, *CHANGING))
        parser.error(f"{' '.join(unknown)}: no such flag of `{parser.prog} {flags.command}`{advice}")
    needy = [
        f"--config.{name}" for name in overrides if not (flags.command == "sample" and name.startswith("samplers."))
    ]
    needy += ["--shape"] * (getattr(flags, "shape", None) is not None)
    if needy and flags.command not in CHANGING and not getattr(flags, "config", None):
        but = ", but for --config.samplers.NAME..." if flags.command == "sample" else ""
        why = f"takes its settings from the run's directory{but}" if "workdir" in flags else "expects --config with it"
        parser.error(f"{needy[0]}: `{flags.command}` {why}")
    flags.overrides = overrides
    return flags


def _split(arguments: list[str], error: Callable[[str], NoReturn]) -> tuple[list[str], dict[str, str]]:
    rest, overrides = [], {}
    remaining = iter(arguments)
    for argument in remaining:
        match = OVERRIDE.fullmatch(argument)
        if match is None:
            rest.append(argument)
            continue
        setting, value = match.groups()
        value = next(remaining, "--") if value is None else value
        if value.startswith("--"):
            error(f"--config.{setting}: expected a value")
        overrides[setting] = value
    return rest, overrides


class _Parser(argparse_flags.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        self.exit(2, f"sde-jax: {message}; see `{self.prog} --help`\n")


def _parser() -> argparse_flags.ArgumentParser:
    parser = _Parser(
        prog="sde-jax",
        description="Score-based generative modelling through stochastic differential equations.",
        epilog=EXIT_CODES,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"sde_jax {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (purpose, add_flags) in COMMANDS.items():
        add_flags(commands.add_parser(name, help=purpose, description=purpose, epilog=EXIT_CODES, allow_abbrev=False))
    return parser


def _train(parser: argparse.ArgumentParser) -> None:
    change = "a config file (Python); --config.a.b=value changes a setting, --config.sde=VE a whole component"
    parser.add_argument("--config", type=given, required=True, help=change)
    workdir_flag(parser)
    accepted = "go on with a run although its data are not those it began with, and record that"
    parser.add_argument("--accept_changed_data", action="store_true", help=accepted)
    process_flags(parser)
    parser.add_argument(
        "--dry_run", action="store_true", help="show config, parameters, mesh and what a step costs; train nothing"
    )
    compile_flag(parser)


def _run(parser: argparse.ArgumentParser) -> None:
    _train(parser)
    parser.add_argument("--num_samples", type=count, default=64, help="samples of each sampler")


def _sample(parser: argparse.ArgumentParser) -> None:
    workdir_flag(parser)
    which = parser.add_mutually_exclusive_group()
    own = "one of the run's samplers, or a name that every run knows: pc, ode, em, ...; default pc, or the run's first"
    which.add_argument("--sampler", type=given, metavar="NAME", help=own)
    which.add_argument("--solver", type=given, metavar="NAME", help=SOLVER)
    parser.add_argument("--steps", type=count, metavar="N", help="of the grid; default the sampler's own")
    parser.add_argument("--num_samples", type=count, default=64)
    batch = "samples drawn at once (which changes no sample, but those of a BatchLangevin)"
    parser.add_argument("--batch_size", type=count, default=64, help=batch)
    average_flag(parser)
    parser.add_argument("--seed", type=seed, default=0)
    parser.add_argument("--output", type=path, help="files to write, without ending; default WORKDIR/samples_SAMPLER")
    guidance_flags(parser)
    process_flags(parser)
    json_flag(parser)


def _likelihood(parser: argparse.ArgumentParser) -> None:
    workdir_flag(parser)
    parser.add_argument("--num_examples", type=count, help="only the first so many held-out images")
    compared = "images scored again at ten times the tolerance, which measures the solver's error; 0: none; default 32"
    parser.add_argument("--tolerance_examples", type=count_or_none, default=32, metavar="N", help=compared)
    average_flag(parser)
    parser.add_argument("--seed", type=seed, default=0)
    process_flags(parser)
    json_flag(parser)


def _evaluate(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Measure checkpoints. --config.evaluation.a=value, and the same of likelihood, samplers and data, change how."
    )
    workdir_flag(parser)
    parser.add_argument("--parts", type=names, default=("loss", "likelihood", "samples"), help="default all three")
    steps = "last (default), all, or steps like 1000,2000"
    parser.add_argument("--checkpoints", type=checkpoints, default="last", metavar="WHICH", help=steps)
    follow = "wait for the checkpoints of a run in training, each for so long, until its last step"
    parser.add_argument("--follow", type=count, metavar="SECONDS", help=follow)
    own = "which of the run's samplers, or names that every run knows: pc, ode, em, ...; default its first"
    parser.add_argument("--sampler", type=names, metavar="NAMES", help=own)
    parser.add_argument("--solver", type=names, default=(), metavar="NAMES", help=SOLVER)
    parser.add_argument("--steps", type=counts, default=(), metavar="N,N", help="of the grid, each with every sampler")
    parser.add_argument("--num_samples", type=count, help="of each sampler and number of steps")
    parser.add_argument("--batch_size", type=count, help="samples drawn at once")
    parser.add_argument("--features", type=given, metavar="NAME", help="what metrics compare: Raw, Inception, ...")
    metrics = "names of the config's, or of classes: Frechet, Kernel, ...; default all of the config's"
    parser.add_argument("--metrics", type=names, default=(), metavar="NAMES", help=metrics)
    parser.add_argument("--reference", type=path, metavar="FILE", help="mu and sigma that Frechet compares with, .npz")
    parser.add_argument("--write_reference", type=path, metavar="FILE", help="write mu and sigma of the data")
    parser.add_argument("--cache", type=path, metavar="FOLDER", help="of statistics of data; default the user's cache")
    parser.add_argument("--num_examples", type=count, help="only the first so many held-out examples")
    average_flag(parser)
    parser.add_argument("--seed", type=seed, help="default the config's")
    parser.add_argument("--output", type=path, help="files to write, without ending; default WORKDIR/evaluation")
    process_flags(parser)
    json_flag(parser)


def _report(parser: argparse.ArgumentParser) -> None:
    workdir_flag(parser)
    parser.add_argument("--output", type=path, help="default WORKDIR/report.html")


def _compare(parser: argparse.ArgumentParser) -> None:
    purpose = "directories of runs, two or more; the others are compared with the first"
    parser.add_argument("runs", type=path, nargs="+", metavar="RUN", help=purpose)
    parser.add_argument("--output", type=path, default=Path("compare.html"), help="default compare.html")


def _publish(parser: argparse.ArgumentParser) -> None:
    workdir_flag(parser)
    parser.add_argument("--output", type=path, required=True, help="a directory: new, empty, or one published before")
    parser.add_argument("--license", default="other", help="of the model, as the hub names it, like apache-2.0")
    parser.add_argument("--push", metavar="USER/NAME", help="a repository on the Hugging Face hub to upload it to")


def _certify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only", default="", metavar="REGEX", help="laws whose name matches, like 'mixture: DDIM on VP'"
    )
    parser.add_argument("--recorded", type=path, metavar="FOLDER", help="values recorded from the official code (.npz)")
    json_flag(parser)


def _convert(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        type=path,
        required=True,
        help="official .pth or flax msgpack, EDM's state dict, or a folder",
    )
    parser.add_argument(
        "--config", type=given, help="of the weights' network: as for train, or an official one's values, .json"
    )
    shape_flag(parser)
    workdir_flag(parser)
    json_flag(parser)


def _average(parser: argparse.ArgumentParser) -> None:
    workdir_flag(parser)
    relative = "the average's length: the standard deviation of its weights in time, as a share of the training"
    parser.add_argument("--deviation", type=real, required=True, help=relative)
    parser.add_argument("--step", type=count, help="the step of a kept checkpoint; default the newest")
    parser.add_argument("--output", type=path, required=True, help="the directory of the run to make")
    json_flag(parser)


def _tune(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Find, for a few numbers of evaluations, the grid and weights that come nearest to the newest model's own fine "
        "solution; they are samplers of the run from then on: --sampler tuned10. Guidance is not tuned for."
    )
    workdir_flag(parser)
    nfe = "evaluations, a sampler for each; default 5,8,10"
    parser.add_argument("--nfe", type=counts, default=(5, 8, 10), metavar="N,N", help=nfe)
    parser.add_argument("--name", type=given, default="tuned", help="of the samplers, before the number; default tuned")
    parser.add_argument("--end", type=real, default=1e-3, help="the last time; default 1e-3")
    draws = "prior draws that are fitted; half as many choose, twice as many test; default 256"
    parser.add_argument("--draws", type=count, default=256, help=draws)
    parser.add_argument("--fine_steps", type=count, default=100, help="of the fine solution; default 100")
    parser.add_argument("--batch_size", type=count, default=256, help="draws carried at once; default 256")
    average_flag(parser)
    parser.add_argument("--seed", type=seed, default=0)
    json_flag(parser)


def _train_features(parser: argparse.ArgumentParser) -> None:
    _labelled(parser)
    parser.add_argument("--features", type=count, default=128, help="their number; default 128")
    parser.add_argument("--seed", type=seed, default=0)
    json_flag(parser)


def _train_classifier(parser: argparse.ArgumentParser) -> None:
    _labelled(parser)
    width = "features of its widest layers; default 256; of images of 16 x 16 or more 640 is the paper's"
    parser.add_argument("--width", type=count, default=256, help=width)
    parser.add_argument("--seed", type=seed, default=0)
    json_flag(parser)


def _labelled(parser: argparse.ArgumentParser) -> None:
    data = parser.add_mutually_exclusive_group(required=True)
    data.add_argument("--config", type=given, help="a config file whose data to train on, with overrides as for train")
    data.add_argument("--workdir", type=path, help="a run's directory whose data to train on")
    parser.add_argument("--output", type=path, required=True, help="the directory to write; new, empty, or one before")
    parser.add_argument("--steps", type=count, default=1000, help="of 128 examples; default 1000")


def _configs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--path", type=path, default=Path("configs"), help="the folder; default configs")
    json_flag(parser)


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=given, help="a config file, with overrides as for train")
    shape_flag(parser)
    compile_flag(parser)
    json_flag(parser)


COMMANDS = {
    "train": ("train, or go on where the run stopped", _train),
    "run": ("train, sample with every sampler, score, compare with a baseline and report", _run),
    "sample": ("draw samples: a picture, arrays and numbers", _sample),
    "restore": ("draw what an image may have been, given what was measured of it", restore_flags),
    "calibrate": ("measure whether such posteriors are as uncertain as they should be", calibrate_flags),
    "likelihood": ("score held-out data in bits per dimension", _likelihood),
    "evaluate": ("measure loss, bits per dimension and samples of one or many checkpoints", _evaluate),
    "report": ("write one HTML page about a run", _report),
    "compare": ("write one HTML page about several runs: numbers, differences, curves, samples", _compare),
    "convert": ("make a run of weights of other projects, or of a published model", _convert),
    "average": ("make a run of an average of another length from a run's kept checkpoints", _average),
    "tune": ("find samplers of few evaluations for a run, tuned to its own fine solution", _tune),
    "train-features": (
        "train a classifier on a data set's labels: features for evaluations, not comparable with published FIDs",
        _train_features,
    ),
    "train-classifier": ("train a classifier of noisy examples, by which samples can be guided", _train_classifier),
    "configs": ("list a folder's experiments, with what is published of them and what came out", _configs),
    "publish": ("write the model with its card as a directory that loads in one call; push it to the hub", _publish),
    "certify": ("measure every sampler's order, likelihoods and conversions against closed forms", _certify),
    "data": ("look at data, or convert them into files that are read fast", data_flags),
    "doctor": ("print versions, devices and what is missing; with --config, what a train step costs here", _doctor),
}
