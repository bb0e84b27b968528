"""`sde-jax sample`: draw samples with one of the run's samplers."""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from tqdm import tqdm

from sde_jax import processes
from sde_jax.checks import Checks, judged
from sde_jax.codec import encode
from sde_jax.commands.capacity import require_samples
from sde_jax.commands.guiding import Guiding, Turn
from sde_jax.commands.pictures import picture
from sde_jax.commands.received import received
from sde_jax.commands.samplers import chosen
from sde_jax.commands.settings import lawless
from sde_jax.commands.workdir import Workdir, load
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment
from sde_jax.guidance import Guide
from sde_jax.model import Model
from sde_jax.sampling import Samples
from sde_jax.sampling.grids import frames_of
from sde_jax.training import by_example
from sde_jax.typing import Array, Key, Params

FRAMES = 40
FILMED = 16
ENDINGS = (".png", ".npz", ".json", ".csv")


def run(
    directory: Path,
    name: str | None,
    count: int,
    seed: int,
    batch_size: int = 64,
    output: Path | None = None,
    average: str | None = None,
    guiding: Guiding | None = None,
    steps: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Draw `count` samples with the sampler `name`; write PNG, NPZ and JSON; return what the JSON says.

    name, steps, overrides: as `samplers.chosen`. Sample i is a function of the model, the sampler, `seed`, i and its
    label: that which `guiding` asks for or, of a network that hears labels, each class in turn. The files are `output`
    or `samples_<name>[.<average>][.guided]` in the run's directory. Raises `InputError` where what is asked cannot be
    had, `RunError` where an adaptive solver does not reach its tolerance; nothing is written then.
    """
    workdir, asked = Workdir(directory), guiding or Guiding()
    record = workdir.read_record()
    name, experiment = check(record.experiment, name, count, batch_size, steps, overrides)
    require_samples(count, record.size)
    asked.check(record)
    target = require_files(workdir, base(directory, _stem(name, average, guiding), output))
    model = load(workdir, average, record=replace(record, experiment=experiment))
    guide, told, turn = asked.guide(workdir, model)
    samples, rate = _drawn(model, name, count, seed, batch_size, guide, turn)
    facts = {
        "sampler": name,
        "settings": encode(model.samplers[name]),
        **({"average": average} if average else {}),
        **turn.facts() | ({"guidance": told} if told else {}),
        "checkpoint_step": model.step,
        **{"num_samples": count, "seed": seed},
        "function_evaluations": float(samples.evaluations.mean()),
        "samples_per_second": rate,
    }
    _write(workdir, target, model, samples, facts, turn)
    return facts


def _drawn(
    model: Model,
    name: str,
    count: int,
    seed: int,
    batch_size: int,
    guide: Guide | None,
    turn: Turn,
) -> tuple[Samples, float]:
    """Return the samples on the host, and how many were drawn in a second."""
    mesh = model.record.mesh()
    rows = -(-min(count, batch_size) // mesh.size) * mesh.size
    numbers = np.arange(-(-count // rows) * rows).reshape(-1, rows)
    keys_of = example_keys(seed, mesh)
    given = [(keys_of(n), jax.device_put(turn.at(n), by_example(mesh))) for n in numbers]
    draw = drawer(model, name).lower(model.params, *given[0], guide).compile()
    began = time.monotonic()
    with _progress(given) as bar:
        parts = [_kept(draw(model.params, *one, guide), FILMED - rows * i) for i, one in enumerate(bar)]
    seconds = time.monotonic() - began
    return jax.tree.map(lambda *a: np.concatenate(a)[:count], *parts), numbers.size / seconds


def example_keys(seed: int, mesh: Mesh) -> Callable[[np.ndarray], Key]:
    """Return the function of indices [n] to keys, split over the mesh: of sample i, the seed's with i folded in."""
    fold = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))
    return jax.jit(fold, out_shardings=by_example(mesh))


def _progress(batches: list[Any]) -> tqdm:
    silent = len(batches) == 1 or not processes.is_first()
    return tqdm(batches, desc="sample", unit="batch", disable=silent)


def _kept(drawn: tuple[Samples, Checks], filmed: int) -> Samples:
    """Return samples on the host, with the trajectories of the first few alone: those of thousands fill the memory."""
    samples, checks = drawn
    return received((samples._replace(trajectory=samples.trajectory[: max(filmed, 0)]), checks))


def base(directory: Path, name: str, output: Path | None) -> Path:
    """Return the files to write, without their ending: an ending of `output` is left out, and it may be a folder."""
    if output is None or output.is_dir():
        return (output or directory) / name
    return output.with_suffix("") if output.suffix in ENDINGS else output


def _stem(name: str, average: str | None, guiding: Guiding | None) -> str:
    return "samples_" + ".".join(filter(None, (name, average, "guided" if guiding else None)))


def require_files(workdir: Workdir, target: Path) -> Path:
    """Return files to write, without their ending; raise `InputError`, before the work, where they cannot be."""
    workdir.require_places(*(f"{target.absolute()}{ending}" for ending in ENDINGS))
    return target


def check(
    experiment: Experiment,
    name: str | None,
    count: int,
    batch_size: int,
    steps: int | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> tuple[str, Experiment]:
    """Return the sampler's name and the experiment with it; raises `InputError` where there is nothing to draw."""
    problems = []
    try:
        name, experiment = chosen(experiment, name, steps, overrides)
    except InputError as error:
        problems = str(error).splitlines()
    else:
        problems += lawless(experiment.objective, {name: experiment.samplers[name]})
    for flag, value in (("num_samples", count), ("batch_size", batch_size)):
        problems += [] if value >= 1 else [f"--{flag}={value}: expected 1 or more"]
    if problems or name is None:
        raise InputError("\n".join(problems))
    return name, experiment


def drawer(model: Model, name: str):
    """Return the jitted (params, keys, labels=None, guide=None) -> (`Samples`, `Checks`) of a sampler of the run."""
    sampler = model.samplers[name]
    kept = min(FRAMES, len(sampler.grid(model.sde)))

    def draw(params: Params, keys: Key, labels: Array | None = None, guide: Guide | None = None) -> Samples:
        conditions = None if labels is None or not model.record.label_count else model.conditions(labels)
        return replace(model, params=params).sample(keys, sampler, kept, conditions, guide, labels)

    return jax.jit(judged(draw))


def _write(
    workdir: Workdir,
    output: Path,
    model: Model,
    samples: Samples,
    facts: dict[str, Any],
    turn: Turn,
) -> None:
    values = model.record.encoding.values
    labels = turn.at(np.arange(len(samples.x)))
    grid = model.samplers[facts["sampler"]].grid(model.sde)
    times = grid[frames_of(len(grid) - 1, min(FRAMES, len(grid)))]
    arrays = {
        "x": samples.x,
        "samples": np.asarray(values(samples.x)),
        "evaluations": samples.evaluations,
        "trajectory": np.asarray(values(samples.trajectory[:FILMED].swapaxes(0, 1))),
        "trajectory_times": times,
        **({} if labels is None else {"labels": labels}),
        **({} if labels is None or not turn.names else {"classes": np.array(turn.names)[labels]}),
    }
    target = output.absolute()
    grid_of_samples = picture(model.record, arrays["samples"])
    with processes.deferred():
        workdir.write(f"{target}.npz", lambda file: save_arrays(file, arrays))
        if grid_of_samples is not None:
            workdir.write(f"{target}.png", lambda file: grid_of_samples.save(file, format="png"))
        workdir.write_json(f"{target}.json", facts)


def save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a compressed NPZ under exactly this path."""
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)
