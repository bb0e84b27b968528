"""How many images a second the data pipeline reads, and how long a training waits for them.

    python tests/benchmarks/pipeline.py ARCHIVE [--images 4096] [--batch_size 128] [--threads 0 1 2 4] [--steps 200]

ARCHIVE is a zip or a folder of images, such as 32x32 ones. Shuffled batches with random flips are read

    files       from the archive: found, read and decoded
    prepared    from array_record files that `sde-jax data prepare` made of the first `--images` of them
    memory      from an array

with 0 (in the caller's thread) and more reading threads, `--images` of them each, after a first batch. Printed are
images a second by the clock, and by the process's CPU time, which on a machine that is shared is the steadier: it is
what one core reads that does nothing else. A machine of 2 cores should reach 2,000 from all three. The last line is the
share of the time that the training of configs/digits_vp.py spends waiting for its batches. Takes a minute.
"""

import argparse
import itertools
import os
import tempfile
import time
from pathlib import Path

import jax
import numpy as np

from sde_jax.commands.settings import resolve
from sde_jax.commands.train import compiled_step
from sde_jax.data import Arrays, Images, Prepared, Source, Splits, batches, prepare
from sde_jax.model import Record
from sde_jax.nn import initialized
from sde_jax.training import TrainState, data_mesh, place, replicated

TARGET = 2000
DIGITS = Path(__file__).parents[2] / "configs" / "digits_vp.py"


class First:
    """The first examples of a source."""

    def __init__(self, source: Source, count: int):
        self._source, self._count = source, min(count, len(source))

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int):
        return self._source[range(self._count)[index]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive")
    parser.add_argument("--images", type=int, default=4096)
    parser.add_argument("--batch_size", type=int, default=128)
    parser.add_argument("--threads", type=int, nargs="+", default=[0, 1, 2, 4])
    parser.add_argument("--steps", type=int, default=200)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before it began", flush=True)
    opened = Images(options.archive, held_out_per_class=0).open()
    files = First(opened.train, options.images)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Splits(files, First(files, 0), opened.shape, opened.levels), {}, Path(folder))
        data = np.stack([files[index]["data"] for index in range(len(files))])
        sources = {"files": files, "prepared": Prepared(folder).open().train, "memory": Arrays(data)}
        print(f"{'images/s':<12}" + "".join(f"{f'{count} threads':>22}" for count in options.threads))
        best = [row(name, source, options) for name, source in sources.items()]
    for name, slowest in zip(("clock", "CPU time of a core"), np.min(best, 0), strict=True):
        verdict = "reached" if slowest >= TARGET else "MISSED"
        print(f"{TARGET:,} images/s from each source, by the {name}: {verdict} (slowest {slowest:,.0f})")
    print(f"waiting for data in the training on digits: {100 * waiting(options.steps):.2f}% of the time")


def row(name: str, source: Source, options: argparse.Namespace) -> np.ndarray:
    """Print the rates of a source with each number of threads; return the best."""
    rates = [rate(source, options.batch_size, options.images, threads) for threads in options.threads]
    cells = (f"{wall:,.0f} ({cpu:,.0f} CPU)" for wall, cpu in rates)
    print(f"{name:<12}" + "".join(f"{cell:>22}" for cell in cells), flush=True)
    return np.max(rates, 0)


def rate(source: Source, batch_size: int, images: int, threads: int) -> tuple[float, float]:
    """Return the images a second of wall time, and of CPU time of the process."""
    stream = batches(source, batch_size=batch_size, seed=0, flip=True, num_threads=threads)
    next(stream)
    count = max(1, images // batch_size)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in itertools.islice(stream, count):
        pass
    return count * batch_size / (time.perf_counter() - wall), count * batch_size / (time.process_time() - cpu)


def waiting(steps: int) -> float:
    """Return the share of the time that steps of the quick start wait for batches."""
    experiment = resolve(str(DIGITS), {})
    settings, splits, mesh = experiment.training, experiment.data.open(), data_mesh()
    record = Record(experiment, splits.shape, splits.levels)
    apply, params = initialized(experiment.network, record.shape, experiment.seed)
    step = compiled_step(record, apply, mesh)
    start = TrainState.create(params, settings.optimizer.transformation(), settings.average)
    state = jax.device_put(start, replicated(mesh))
    stream = batches(splits.train, batch_size=settings.batch_size, seed=experiment.seed)
    waited, began = 0.0, time.perf_counter()
    for number in range(steps):
        asked = time.perf_counter()
        batch = next(stream)
        waited += time.perf_counter() - asked
        state, _ = step.one(state, place({"data": batch["data"]}, mesh))
        jax.block_until_ready(state)
        if number == 2:  # what is compiled and read ahead at first does not count
            waited, began = 0.0, time.perf_counter()
    return waited / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
