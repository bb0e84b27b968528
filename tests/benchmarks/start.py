"""How long a command takes before it works: the first and the second process, in CPU seconds.

    .venv/bin/python tests/benchmarks/start.py [--rounds 1] [--large]

A second process finds what the first one compiled; what it imports is told apart. `--large` adds a training of DDPM++,
which takes minutes. Each row is the median over the rounds, of processes run one after the other.
"""

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
DIGITS = [f"--config={ROOT / 'configs' / 'digits_vp.py'}", "--config.training.steps=4"]
LARGE = [
    f"--config={ROOT / 'configs' / 'cifar10_ddpmpp_vp.py'}",
    "--config.training.steps=1",
    "--config.training.batch_size=2",
]
ROWS = (
    ("import sde_jax", None, None),
    ("sample --num_samples 1, first process", 12.4, None),
    ("sample --num_samples 1, second process", 11.3, 5.0),
)


def spent(*arguments: object, cache: Path) -> float:
    """Return the CPU seconds, user and system, of a Python process that ends well."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_COMPILATION_CACHE_DIR": str(cache)}
    environment |= {
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def sampling(folder: Path) -> list[float]:
    """Return the seconds of importing, and of a first and a second process that draw one sample of a fresh run."""
    run, cache = folder / "run", folder / "cache"
    spent("-m", "sde_jax", "train", *DIGITS, f"--workdir={run}", cache=folder / "other")
    draw = "-m", "sde_jax", "sample", f"--workdir={run}", "--num_samples=1"
    return [spent("-c", "import sde_jax", cache=cache), *(spent(*draw, cache=cache) for _ in range(2))]


def training(folder: Path, data: Path) -> list[float]:
    """Return the seconds of a first and a second start of a DDPM++ training, of one step."""
    asked = [*LARGE, "--config.data=Images", f"--config.data.path={data}"]
    start = lambda name: spent(  # noqa: E731
        "-m", "sde_jax", "train", *asked, f"--workdir={folder / name}", cache=folder / "cache"
    )
    return [start("one"), start("other")]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--large", type=Path, help="a folder or zip of images of 32 x 32, to train DDPM++ on")
    flags = parser.parse_args()
    rows = [*ROWS]
    if flags.large:
        rows += [("train DDPM++, first process", None, None), ("train DDPM++, second process", 23.0, 14.0)]
    found: list[list[float]] = []
    for _ in range(flags.rounds):
        folder = Path(tempfile.mkdtemp())
        found.append(sampling(folder) + (training(folder / "large", flags.large) if flags.large else []))
        shutil.rmtree(folder)
    print(f"{'CPU seconds':<42} {'median':>8} {'before':>8} {'target':>8}")
    for (name, before, target), column in zip(rows, zip(*found, strict=True), strict=True):
        cells = (statistics.median(column), before, target)
        print(f"{name:<42} " + " ".join(f"{'' if cell is None else f'{cell:.1f}':>8}" for cell in cells))


if __name__ == "__main__":
    main()
