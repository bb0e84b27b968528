"""Posterior samples of a model, in batches over the mesh of its run."""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from sde_jax import processes
from sde_jax.checks import judged
from sde_jax.commands.received import received
from sde_jax.commands.restoration.request import Request, Setting
from sde_jax.ensembles import Ensemble, draw
from sde_jax.measurement import Measurement, measure
from sde_jax.model import Model, Record
from sde_jax.training import by_example
from sde_jax.typing import Array, Key, Params

MEMBERS, NOISE, CELLS, TRUTHS = range(4)
"""Uses of the seed: no two share random numbers."""


def keys_of(seed: int, use: int, *indices: Array) -> Key:
    """Return the key of a seed, a use of it, and indices, folded in one after the other."""
    key = jax.random.fold_in(jax.random.key(seed), use)
    for index in indices:
        key = jax.random.fold_in(key, index)
    return key


def simulated(setting: Setting, seed: int, index: np.ndarray, x0: np.ndarray) -> Measurement:
    """Return measurements of examples [k, *shape], every leaf [k, ...]; what is not observed is NaN.

    The noise of example i is that of the seed and `index[i]`.
    """

    def one(index: Array, x0: Array) -> Measurement:
        drawn = measure(keys_of(seed, NOISE, index), setting.task.operator, x0, setting.noise)
        return replace(drawn, value=jnp.where(setting.task.observed, drawn.value, jnp.nan))

    return jax.tree.map(np.asarray, jax.jit(jax.vmap(one))(index, x0))


def dequantised(record: Record, seed: int, index: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Return the x_0 of images in grey levels [k, *shape], each drawn in its cells by the seed and its index."""

    def one(index: Array, levels: Array) -> Array:
        return record.encoding.draw(keys_of(seed, CELLS, index), levels)[0]

    return np.asarray(jax.vmap(one)(jnp.asarray(index), jnp.asarray(levels)))


def priors(model: Model, setting: Setting, request: Request, count: int) -> np.ndarray:
    """Return `count` samples [count, *shape] of the model itself, by the sampler of the posteriors."""

    def program(params: Params, index: Array) -> Array:
        keys = jax.vmap(lambda i: keys_of(request.seed, TRUTHS, i))(index)
        return replace(model, params=params).sample(keys, setting.sampler).x

    return in_batches(program, model, np.arange(count), request.batch_size, "truths")[0]


def posteriors(model: Model, setting: Setting, request: Request, measurements: Measurement) -> tuple[Ensemble, float]:
    """Return the ensembles [k, num_samples, ...] of measurements [k, ...], and the seconds that they took.

    Member j of measurement i is a function of the model, the request's seed, i and j.
    """
    grid, count = setting.sampler.grid(model.sde), request.num_samples

    def program(params: Params, given: Any) -> Ensemble:
        index, member, measured = given
        keys = jax.vmap(lambda i, j: keys_of(request.seed, MEMBERS, i, j))(index, member)
        denoise, shape = model.denoiser(params), model.record.shape
        return draw(keys, measured, setting.method, setting.sampler.solver, model.sde, denoise, grid, shape)

    (k,) = {len(leaf) for leaf in jax.tree.leaves(measurements)}
    index, member = np.divmod(np.arange(k * count), count)
    pairs = index, member, jax.tree.map(lambda leaf: leaf[index], measurements)
    found, seconds = in_batches(program, model, pairs, request.batch_size, "samples")
    return found.grouped(count), seconds


def in_batches(
    program: Callable[[Params, Any], Any], model: Model, given: Any, rows: int, name: str
) -> tuple[Any, float]:
    """Return `program(params, given)` of arrays [n, ...], whole on every process, and the seconds without compilation.

    At most `rows` at once, split over the mesh; the last batch is filled up with repeated ones. Raises `RunError` where
    samples come to NaN, or an adaptive solver does not reach its tolerance.
    """
    total, mesh = len(jax.tree.leaves(given)[0]), model.record.mesh()
    rows = -(-min(total, rows) // mesh.size) * mesh.size
    place = lambda at: jax.device_put(jax.tree.map(lambda a: a[at], given), by_example(mesh))  # noqa: E731
    starts = range(0, total, rows)
    compiled = jax.jit(judged(program)).lower(model.params, place(np.arange(rows) % total)).compile()
    began, parts = time.monotonic(), []
    silent = len(starts) == 1 or not processes.is_first()
    with tqdm(starts, desc=name, unit="batch", disable=silent) as bar:
        for start in bar:
            parts.append(received(compiled(model.params, place(np.arange(start, start + rows) % total))))
    seconds = time.monotonic() - began
    return jax.tree.map(lambda *a: np.concatenate(a)[:total], *parts), seconds
