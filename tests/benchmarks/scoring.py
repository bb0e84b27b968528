"""What scoring held-out data costs, as ratios from one run.

    python tests/benchmarks/scoring.py --workdir runs/quickstart [--images 297] [--lanes 64] [--rounds 5]

of a run that `sde-jax train --config configs/digits_vp.py` made. Printed, with their targets:

- CPU seconds (user + sys) of scoring in one batch by `jax.vmap`, in which all wait for the slowest image, over those of
  a queue of `lanes`; the two are measured in turns, and the median of the rounds' ratios is printed;
- the share of the evaluations made for images that are done, of both, from the images' own counts;
- CPU seconds of scoring all images again at ten times the tolerance, and of scoring 32 of them again, over those of
  scoring them once.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from sde_jax.commands.likelihood import COARSER, COMPARED
from sde_jax.commands.workdir import Workdir, load
from sde_jax.likelihood import BitsPerDim, bits_per_dim, bits_per_dims
from sde_jax.model import Model
from sde_jax.ode import Tolerance


def main() -> None:
    """Measure and print."""
    flags = arguments()
    model = load(Workdir(flags.workdir))
    source = model.record.experiment.data.open().held_out
    images = np.stack([source[i]["data"] for i in range(min(flags.images, len(source)))])
    tolerance = model.record.experiment.likelihood.tolerance
    coarser = Tolerance(COARSER * tolerance.rtol, COARSER * tolerance.atol, tolerance.max_steps)
    batch, queue = vmapped(model, images, tolerance), queued(model, images, flags.lanes, tolerance)
    again, few = (queued(model, some, flags.lanes, coarser) for some in (images, images[:COMPARED]))
    programs = {"batch": batch, "queue": queue, "again": again, "few": few}
    found = {name: jax.block_until_ready(program()) for name, program in programs.items()}
    seconds = {name: [] for name in programs}
    for _ in range(flags.rounds):
        for name, program in programs.items():
            began = time.process_time()
            jax.block_until_ready(program())
            seconds[name].append(time.process_time() - began)
    steps = np.asarray(found["queue"].evaluations)
    print(platform.processor() or platform.machine(), f"{os.cpu_count()} cores, JAX {jax.__version__}")
    print(
        f"{len(images)} images, {flags.lanes} lanes, tolerance {tolerance.rtol:g}; evaluations of an image: mean "
        f"{steps.mean():.1f}, most {steps.max()}; medians of {flags.rounds} rounds\n"
    )
    print(f"{'':<58} {'measured':>8}  target")
    row("batch / queue, CPU", ratio(seconds["batch"], seconds["queue"]), "1.3")
    row("evaluations for images that are done, batch", 1 - steps.mean() / steps.max(), "")
    row("the same, queue", 1 - steps.sum() / (flags.lanes * turns(steps, flags.lanes)), "")
    row("all again at ten times the tolerance / once, CPU", ratio(seconds["again"], seconds["queue"]), "")
    row(f"{COMPARED} of them again / once, CPU", ratio(seconds["few"], seconds["queue"]), "0.1")


def vmapped(model: Model, images: np.ndarray, tolerance: Tolerance) -> Callable[[], BitsPerDim]:
    """Return the scoring of all images in one batch."""
    settings, encoding = model.record.experiment.likelihood, model.record.encoding
    keys, given = jax.random.split(jax.random.key(0), len(images)), {"tolerance": tolerance, "start": settings.start}

    @jax.jit
    def scored(params, keys, images):
        one = lambda key, image: bits_per_dim(  # noqa: E731
            key, model.sde, model.denoiser(params), image, encoding, divergence=settings.divergence, **given
        )
        return jax.vmap(one)(keys, images)

    return lambda: scored(model.params, keys, images)


def queued(model: Model, images: np.ndarray, lanes: int, tolerance: Tolerance) -> Callable[[], BitsPerDim]:
    """Return the scoring of all images by a queue."""
    settings, encoding = model.record.experiment.likelihood, model.record.encoding
    given = {"tolerance": tolerance, "start": settings.start, "divergence": settings.divergence, "lanes": lanes}
    keys = jax.random.split(jax.random.key(0), len(images))
    scored = jax.jit(lambda params, k, x: bits_per_dims(k, model.sde, model.denoiser(params), x, encoding, **given))
    return lambda: scored(model.params, keys, images)


def turns(evaluations: np.ndarray, lanes: int) -> int:
    """Return the evaluations that the queue makes in every lane: each image goes to the lane that is free first."""
    busy = np.zeros(lanes)
    for own in evaluations:
        busy[np.argmin(busy)] += own
    return int(busy.max())


def ratio(one: list[float], other: list[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def row(what: str, measured: float, target: str) -> None:
    """Print a line of the table."""
    print(f"{what:<58} {measured:>8.2f}  {target}", flush=True)


def arguments() -> argparse.Namespace:
    """Return the flags."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workdir", type=Path, required=True)
    parser.add_argument("--images", type=int, default=297)
    parser.add_argument("--lanes", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
