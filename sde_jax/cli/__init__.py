"""The command line: `sde-jax COMMAND`, with the commands of `flags.py`."""

import argparse
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from absl import app

from sde_jax.cli import streams
from sde_jax.cli.flags import parse as parse
from sde_jax.errors import InputError, RunError, shown

PATHS = ("workdir", "output", "reference", "write_reference", "cache", "classifier", "input", "mask", "sensors")


def main() -> None:
    """Run the command line and exit."""
    with streams.standard():
        app.run(_run, flags_parser=parse)


def _run(flags: argparse.Namespace) -> NoReturn:
    from sde_jax import processes
    from sde_jax.cli import compiled

    try:
        _quieten()
        with compiled.kept():
            _connect(flags)
            with processes.together(), processes.interruptible(), _devices_there():
                _agree(flags)
                code = _dispatch(flags)
        sys.exit(code)
    except InputError as error:
        print(_told(error), file=sys.stderr)
        sys.exit(2)
    except RunError as error:
        print(_told(error), file=sys.stderr)
        sys.exit(3)
    except MemoryError as error:
        print(f"sde-jax: out of memory ({shown(error)}); ask for less, or for a smaller batch", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("sde-jax: interrupted", file=sys.stderr)
        sys.exit(130)
    except OSError as error:
        if error.filename == streams.OUT:
            raise
        print(_told(error), file=sys.stderr)
        sys.exit(3)


def _told(error: Exception) -> str:
    """Return the lines of an error for a terminal, which nothing in them can command."""
    return "\n".join(f"sde-jax: {shown(line, most=10_000)}" for line in str(error).split("\n") if line)


def _dispatch(flags: argparse.Namespace) -> int:
    from sde_jax.commands import certify, compare, configs, data, doctor, publish, report, settings

    if flags.command in ("train", "run"):
        return _train(flags)
    if flags.command in ("sample", "likelihood", "average", "tune", "convert", "train-features", "train-classifier"):
        return _show(_facts(flags), flags.json)
    if flags.command == "evaluate":
        return _evaluate(flags)
    if flags.command in ("restore", "calibrate"):
        return _posteriors(flags)
    if flags.command == "report":
        print(report.run(flags.workdir, flags.output))
        return 0
    if flags.command == "compare":
        print(compare.run(flags.runs, flags.output))
        return 0
    if flags.command == "configs":
        return configs.run(flags.path, flags.json)
    if flags.command == "publish":
        print(publish.run(flags.workdir, flags.output, flags.license, flags.push) or flags.output)
        return 0
    if flags.command == "certify":
        return certify.run(flags.only, flags.recorded, flags.json)
    if flags.command == "data":
        return data.run(flags)
    if flags.config:
        costs = doctor.examine(settings.resolve(flags.config, flags.overrides), flags.shape, flags.compile)
        print(json.dumps(costs.to_json()) if flags.json else costs)
        return 0
    return doctor.run(flags.json)


def _train(flags: argparse.Namespace) -> int:
    from sde_jax.commands import doctor, everything, settings, train

    experiment = settings.resolve(flags.config, flags.overrides)
    if flags.dry_run:
        doctor.dry_run(experiment, flags.compile)
        return 0
    streams.never_fail(sys.stdout)  # hours of training do not end because nobody listens
    if flags.command == "train":
        return train.run(experiment, flags.workdir, flags.accept_changed_data)
    return everything.run(experiment, flags.workdir, flags.num_samples, flags.accept_changed_data)


def _facts(flags: argparse.Namespace) -> dict[str, Any]:
    """Run a command that returns numbers."""
    from sde_jax.commands import average, convert, likelihood, train_classifier, train_features

    if flags.command == "sample":
        return _sample(flags)
    if flags.command == "likelihood":
        return likelihood.run(
            flags.workdir, flags.num_examples, flags.seed, flags.tolerance_examples, average=flags.average
        )
    if flags.command == "average":
        return average.run(flags.workdir, flags.deviation, flags.output, flags.step)
    if flags.command == "tune":
        return _tune(flags)
    if flags.command == "train-features":
        data = train_features.dataset(flags.config, flags.overrides, flags.workdir)
        return train_features.run(data, flags.output, flags.steps, flags.features, flags.seed)
    if flags.command == "train-classifier":
        experiment = train_classifier.experiment_of(flags.config, flags.overrides, flags.workdir)
        return train_classifier.run(experiment, flags.output, flags.steps, flags.width, flags.seed)
    return convert.run(flags.checkpoint, flags.workdir, flags.config, flags.overrides, flags.shape)


def _tune(flags: argparse.Namespace) -> dict[str, Any]:
    from sde_jax.commands import tune

    effort = tune.effort(flags.draws, flags.fine_steps, flags.batch_size)
    return tune.run(flags.workdir, flags.nfe, flags.name, effort, flags.end, flags.seed, flags.average)


def _sample(flags: argparse.Namespace) -> dict[str, Any]:
    from sde_jax.commands import guiding, sample, samplers

    samplers.require_solvers([flags.solver] if flags.solver else [])
    asked = (flags.label, flags.guidance, flags.classifier, flags.guidance_interval, flags.guidance_rescale)
    guide = guiding.Guiding(*asked, flags.autoguidance)
    guide = None if guide == guiding.Guiding() else guide
    name = flags.solver or flags.sampler
    given = flags.num_samples, flags.seed, flags.batch_size, flags.output, flags.average
    return sample.run(flags.workdir, name, *given, guide, flags.steps, flags.overrides)


def _evaluate(flags: argparse.Namespace) -> int:
    from sde_jax.commands import evaluate, samplers

    samplers.require_solvers(flags.solver)
    kinds = (*(flags.sampler or ()), *flags.solver) or None
    settings = ("features", "num_samples", "batch_size", "seed")
    given = {f"evaluation.{name}": getattr(flags, name) for name in settings} | {"evaluation.samplers": kinds}
    request = evaluate.Request(
        flags.parts,
        flags.checkpoints,
        flags.follow,
        flags.steps,
        flags.metrics,
        flags.num_examples,
        flags.average,
        flags.reference,
        flags.write_reference,
        flags.cache,
        {**{path: value for path, value in given.items() if value is not None}, **flags.overrides},
    )
    found = evaluate.run(flags.workdir, request, flags.output)
    print(json.dumps(found.to_json()) if flags.json else evaluate.table(found.rows))
    return 0


def _posteriors(flags: argparse.Namespace) -> int:
    from sde_jax.commands import restoration

    choices = ("mask", "factor", "blur", "sensors", "num_sensors", "seed")
    chosen = restoration.Choices(**{name: getattr(flags, name) for name in choices})
    names = ("task", "method", "noise", "sampler", "steps", "num_samples", "batch_size", "seed", "average", "overrides")
    request = restoration.Request(choices=chosen, **{name: getattr(flags, name) for name in names})
    if flags.command == "restore":
        given = flags.input, flags.example, flags.simulate
        return _show(restoration.restore.run(flags.workdir, request, *given, flags.output), flags.json)
    facts = restoration.calibrate.run(flags.workdir, request, flags.num_examples, flags.truth, flags.output)
    print(json.dumps(facts) if flags.json else restoration.calibrate.table(facts))
    return 0


def _show(facts: dict[str, Any], as_json: bool) -> int:
    if as_json:
        print(json.dumps(facts))
    else:
        for name, value in facts.items():
            value = "; ".join(value) or "none" if name == "warnings" else value
            if isinstance(value, dict) and value and all(isinstance(part, float) for part in value.values()):
                print("\n".join(f"{name + ' ' + level:<28} {part:.6g}" for level, part in value.items()))
            elif not isinstance(value, dict):
                print(f"{name:<28} {value:.6g}" if isinstance(value, float) else f"{name:<28} {value}")
    return 0


@contextmanager
def _devices_there() -> Iterator[None]:
    """Raise `InputError` where something failed because JAX has no devices to work on."""
    from sde_jax import processes

    try:
        yield
    except (RuntimeError, AssertionError):  # JAX raises either
        processes.devices()
        raise


def _quieten() -> None:
    """Keep the libraries from saying what is raised and reported, first, on lines of their own."""
    from absl import logging as absl_logging

    absl_logging.set_verbosity(absl_logging.FATAL)
    logging.getLogger("jax._src.callback").setLevel(logging.CRITICAL)


def _connect(flags: argparse.Namespace) -> None:
    """Make this process one of several, where the flags say so; what is printed is then printed by the first alone."""
    import jax

    from sde_jax import processes

    by_hand = [getattr(flags, name, None) for name in ("coordinator", "process_count", "process_index")]
    detect = getattr(flags, "distributed", False)
    if not detect and by_hand == [None] * 3:
        return
    if detect and by_hand != [None] * 3:
        raise InputError("--distributed finds the others itself: expected it, or --coordinator and its fellows")
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    # Its handler of SIGTERM would be in the way of ours.
    jax.config.update("jax_enable_preemption_service", False)
    processes.initialize(*by_hand, wait=flags.wait)
    if processes.count() == 1:
        return
    # Gloo writes of its connections to standard output.
    shown = os.dup(1) if processes.is_first() else os.open(os.devnull, os.O_WRONLY)
    os.dup2(2, 1)
    streams.say_to(shown)
    streams.never_fail(sys.stdout)


def _agree(flags: argparse.Namespace) -> None:
    """Raise `InputError` on every process where they were given different commands, or run different code."""
    from sde_jax import processes

    # Paths may differ between machines; training and evaluation compare the whole config.
    own = {"coordinator", "process_index", "distributed", "wait", "json", "config", "overrides", *PATHS}
    if processes.count() > 1:
        given = {f"--{name}": str(value) for name, value in vars(flags).items() if name not in own}
        processes.require_same({**given, **processes.versions()})
