"""The command line: `sde-jax train | sample | likelihood | report | run | certify | doctor`."""

import argparse
import io
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from absl import app
from absl.flags import argparse_flags

from sde_jax.errors import InputError, RunError

EXIT_CODES = (
    "exit codes: 0 done; 2 something given cannot be used; 3 the run stopped itself, or a file could not be used; "
    "75 interrupted and saved, run the same command again"
)
OVERRIDE = re.compile(r"--config\.([^=]+)(?:=(.*))?", re.DOTALL)


def main() -> None:
    """Run the command line and exit."""
    app.run(_run, flags_parser=parse)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the command's flags, `--config.path=value` gathered in `overrides`; exits with 2 where they are off."""
    parser = _parser()
    arguments, overrides = _split(list(argv[1:]), parser.error)
    flags, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(f"{' '.join(unknown)}: no such flag of `{parser.prog} {flags.command}`")
    if overrides and "config" not in flags:
        parser.error(f"--config.{next(iter(overrides))}: `{flags.command}` takes its settings from the run's directory")
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
        path, value = match.groups()
        value = next(remaining, "--") if value is None else value
        if value.startswith("--"):
            error(f"--config.{path}: expected a value")
        overrides[path] = value
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
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, purpose: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=purpose, description=purpose, epilog=EXIT_CODES, allow_abbrev=False)

    _training(command("train", "train, or go on where the run stopped"))
    sub = command("run", "train, sample with every sampler, score, compare with a baseline and report")
    _training(sub)
    sub.add_argument("--num_samples", type=_count, default=64, help="samples of each sampler")
    sub = command("sample", "draw samples: a picture, arrays and numbers")
    _workdir(sub)
    sub.add_argument("--sampler", default="pc", help="which of the config's samplers")
    sub.add_argument("--num_samples", type=_count, default=64)
    sub.add_argument("--batch_size", type=_count, default=64, help="samples drawn at once (changes no sample)")
    sub.add_argument("--seed", type=_seed, default=0)
    sub.add_argument("--output", type=_path, help="files to write, without ending; default WORKDIR/samples_SAMPLER")
    _json(sub)
    sub = command("likelihood", "score held-out data in bits per dimension")
    _workdir(sub)
    sub.add_argument("--num_examples", type=_count, help="only the first so many held-out images")
    sub.add_argument("--seed", type=_seed, default=0)
    _json(sub)
    sub = command("report", "write one HTML page about a run")
    _workdir(sub)
    sub.add_argument("--output", type=_path, help="default WORKDIR/report.html")
    sub = command("certify", "measure every sampler's order, likelihoods and conversions against closed forms")
    sub.add_argument("--only", default="", metavar="REGEX", help="laws whose name matches, like 'mixture: DDIM on VP'")
    sub.add_argument("--recorded", type=_path, metavar="FOLDER", help="values recorded from the official code (.npz)")
    _json(sub)
    command("doctor", "print versions, devices and what is missing")
    return parser


def _training(parser: argparse.ArgumentParser) -> None:
    change = "a config file (Python); --config.a.b=value changes a setting, --config.sde=VE a whole component"
    parser.add_argument("--config", required=True, help=change)
    _workdir(parser)
    parser.add_argument(
        "--dry_run", action="store_true", help="show config, parameters, mesh and memory; train nothing"
    )


def _workdir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workdir", type=_path, required=True, help="the run's directory")


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")


def _path(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("expected a path, got nothing")
    return Path(text)


def _count(text: str) -> int:
    return _integer(text, 1, 2**31)


def _seed(text: str) -> int:
    return _integer(text, 0, 2**32)


def _integer(text: str, low: int, end: int) -> int:
    if not re.fullmatch(r"-?[0-9]+", text) or not low <= int(text) < end:
        raise argparse.ArgumentTypeError(f"{text!r}: expected an integer from {low} to {end - 1}")
    return int(text)


def _run(flags: argparse.Namespace) -> NoReturn:
    try:
        sys.exit(_dispatch(flags))
    except InputError as error:
        print("\n".join(f"sde-jax: {line}" for line in str(error).splitlines()), file=sys.stderr)
        sys.exit(2)
    except RunError as error:
        print(f"sde-jax: {error}", file=sys.stderr)
        sys.exit(3)
    except KeyboardInterrupt:
        print("sde-jax: interrupted", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        print(f"sde-jax: {error}", file=sys.stderr)
        sys.exit(3)


def _dispatch(flags: argparse.Namespace) -> int:
    _prepare()
    from sde_jax.commands import certify, doctor, everything, likelihood, report, sample, settings, train

    if flags.command in ("train", "run"):
        experiment = settings.resolve(flags.config, flags.overrides)
        if flags.dry_run:
            train.dry_run(experiment)
            return 0
        if flags.command == "train":
            return train.run(experiment, flags.workdir)
        return everything.run(experiment, flags.workdir, flags.num_samples)
    if flags.command == "sample":
        facts = sample.run(flags.workdir, flags.sampler, flags.num_samples, flags.seed, flags.batch_size, flags.output)
        return _show(facts, flags.json)
    if flags.command == "likelihood":
        return _show(likelihood.run(flags.workdir, flags.num_examples, flags.seed), flags.json)
    if flags.command == "report":
        print(report.run(flags.workdir, flags.output))
        return 0
    if flags.command == "certify":
        return certify.run(flags.only, flags.recorded, flags.json)
    return doctor.run()


def _show(facts: dict[str, Any], as_json: bool) -> int:
    if as_json:
        import json

        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            if not isinstance(value, dict):
                print(f"{name:<28} {value:.6g}" if isinstance(value, float) else f"{name:<28} {value}")
    return 0


def _prepare() -> None:
    """Quieten the libraries' chatter, show lines as they are written, and keep compiled programs between runs."""
    import jax
    from absl import logging as absl_logging

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    # What fails is raised and reported; these loggers would say so first, on lines of their own.
    absl_logging.set_verbosity(absl_logging.FATAL)
    logging.getLogger("jax._src.callback").setLevel(logging.CRITICAL)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sde_jax" / "compiled"
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(cache))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


if __name__ == "__main__":
    main()
