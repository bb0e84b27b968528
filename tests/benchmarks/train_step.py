"""What the training loop costs beside the step that it runs, as ratios from one run.

    python tests/benchmarks/train_step.py [--config.training.batch_size=256 ...]

Takes configs/digits_vp.py, or another with `--config FILE`, and measures in turns, `ROUNDS` times as many steps as take
about `SECONDS` each:

    bare step   the jitted step alone, on one batch that lies on the device already
    loop        `sde_jax.training.train` with the data pipeline, the guard and the log, without checkpoints
    pipeline    the batches alone, read as fast as they come

and prints medians. `loop / bare step` is what everything around the step adds; `pipeline / need` how many times as
many images the pipeline reads as the bare step uses: below 1, reading is the bottleneck. (On a CPU they share cores.)
"""

import itertools
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np

from sde_jax.cli import parse
from sde_jax.commands.settings import resolve
from sde_jax.commands.train import compiled_step
from sde_jax.data import batches
from sde_jax.model import Record
from sde_jax.nn import initialized
from sde_jax.training import Events, Guard, Interruption, Plan, Stop, TrainState, data_mesh, place, replicated, train

ROUNDS, SECONDS, MOST = 7, 3.0, 200
DIGITS = Path(__file__).parents[2] / "configs" / "digits_vp.py"


def main() -> None:
    """Measure and print."""
    flags = parse(["sde-jax", "train", f"--config={DIGITS}", "--workdir=unused", *sys.argv[1:]])
    experiment = resolve(flags.config, flags.overrides)
    settings, splits, mesh = experiment.training, experiment.data.open(), data_mesh()
    record = Record.of(experiment, splits)
    apply, params = initialized(experiment.network, record.shape, experiment.seed)
    step = compiled_step(record, apply, mesh)
    start = TrainState.create(params, settings.optimizer.transformation(), settings.average)
    held = {"state": jax.device_put(start, replicated(mesh))}
    stream = batches(splits.train, batch_size=settings.batch_size, seed=experiment.seed)
    first = next(stream)
    batch = place({name: first[name] for name in record.batch(1)}, mesh)
    events = Events(lambda state, rows: None, lambda state: None)
    guard = Guard(Stop(), lambda position: np.zeros(0, int), lambda anomaly: None)

    def bare(steps: int) -> None:
        for _ in range(steps):
            held["state"], _ = step.one(held["state"], batch)
        jax.block_until_ready(held["state"])

    def loop(steps: int) -> None:
        until = int(held["state"].step) + steps
        plan = Plan(until, settings.log_every, sys.maxsize)
        held["state"] = train(held["state"], step, stream, mesh, plan, events, guard, Interruption())
        jax.block_until_ready(held["state"])

    def pipeline(steps: int) -> None:
        for _ in itertools.islice(stream, steps):
            pass

    seconds = in_turns(bare, loop, pipeline)
    rate = settings.batch_size / seconds["bare"]
    print(
        f"bare step           {1e3 * seconds['bare']:.2f} ms, {rate:,.0f} images/s of batches of {settings.batch_size}"
    )
    print(f"loop / bare step    {seconds['loop'] / seconds['bare']:.3f}")
    print(f"pipeline / need     {seconds['bare'] / seconds['pipeline']:.2f}")


def in_turns(*parts: Callable[[int], None]) -> dict[str, float]:
    """Return the median seconds a step of each part, by its name; as many steps as fit, after a few to warm up."""
    times: dict[str, list[float]] = {part.__name__: [] for part in parts}
    for part in parts:
        part(3)
    steps = min(MOST, max(5, round(SECONDS / timed(parts[0], 5))))
    for _ in range(ROUNDS):
        for part in parts:
            times[part.__name__].append(timed(part, steps))
    return {name: statistics.median(taken) for name, taken in times.items()}


def timed(part: Callable[[int], None], steps: int) -> float:
    """Return the seconds a step."""
    began = time.perf_counter()
    part(steps)
    return (time.perf_counter() - began) / steps


if __name__ == "__main__":
    main()
