"""What the training loop costs beside the step that it runs, as ratios from one run.

    python tests/benchmarks/train_step.py [--config.training.batch_size=256 ...]

Takes configs/digits_vp.py, or another with `--config FILE`, and measures in turns, `ROUNDS` times as many steps as take
about `SECONDS` each:

    bare step   the jitted step alone, on one batch that lies on the device already
    loop        `sde_jax.training.train` with the data pipeline, the guard and the log, without checkpoints
    pipeline    the batches alone, read as fast as they come

and prints medians, in CPU seconds (user and system, of all threads) and by the clock. `loop / bare step` is what
everything around the step adds, asked to be at most 1.05 in CPU seconds; `pipeline / need` how many times as many
images the pipeline reads as the bare step uses: below 1, reading is the bottleneck. (On a CPU they share cores.)
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
    print(f"batches of {settings.batch_size}      CPU      clock")
    for name, per_step in seconds.items():
        print(f"{name:15s}{1e3 * per_step[0]:8.2f}   {1e3 * per_step[1]:8.2f} ms a step")
    for name, ratio in (("loop / bare step", ("loop", "bare")), ("pipeline / need", ("bare", "pipeline"))):
        cpu, clock = (seconds[ratio[0]][i] / seconds[ratio[1]][i] for i in (0, 1))
        print(f"{name:16s}{cpu:7.3f}   {clock:8.3f}")


def in_turns(*parts: Callable[[int], None]) -> dict[str, tuple[float, float]]:
    """Return the median seconds a step of each part, by its name; as many steps as fit, after a few to warm up."""
    times: dict[str, list[tuple[float, float]]] = {part.__name__: [] for part in parts}
    for part in parts:
        part(3)
    steps = min(MOST, max(5, round(SECONDS / timed(parts[0], 5)[1])))
    for _ in range(ROUNDS):
        for part in parts:
            times[part.__name__].append(timed(part, steps))
    return {name: tuple(map(statistics.median, zip(*taken, strict=True))) for name, taken in times.items()}


def timed(part: Callable[[int], None], steps: int) -> tuple[float, float]:
    """Return the seconds a step, of CPU and by the clock."""
    used, began = time.process_time(), time.perf_counter()
    part(steps)
    return (time.process_time() - used) / steps, (time.perf_counter() - began) / steps


if __name__ == "__main__":
    main()
