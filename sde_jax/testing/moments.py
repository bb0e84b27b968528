"""The moments of a sampler on Gaussian data, without sampling error."""

import math
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import random as extension
from jaxtyping import ArrayLike, Float

from sde_jax.prediction.exact import GaussianDenoiser
from sde_jax.pytree import in_one_line
from sde_jax.sampling import FixedGridSolver, Step
from sde_jax.sde import Centred, GaussianPath
from sde_jax.typing import Array, Time


@in_one_line
class Moments(NamedTuple):
    """The mean [n] and the covariance [n, n] of a random x of n numbers."""

    mean: Float[np.ndarray, " n"]
    covariance: Float[np.ndarray, "n n"]


def marginal(sde: GaussianPath, mean: ArrayLike, covariance: ArrayLike, t: float) -> Moments:
    """Return the exact moments at t of data from N(mean, covariance): alpha mean + b, alpha covariance alpha + sigma^2.

    alpha and sigma are diagonal matrices.
    """
    n = np.size(mean)
    with jax.enable_x64(True):
        alpha, variance, b = (np.broadcast_to(f(t), n) for f in (sde.alpha, sde.variance, sde.offset))
    return Moments(alpha * np.array(mean) + b, np.outer(alpha, alpha) * np.array(covariance) + np.diag(variance))


def moments(
    solver: FixedGridSolver,
    sde: GaussianPath,
    mean: ArrayLike,
    covariance: ArrayLike,
    grids: Sequence[Float[np.ndarray, " steps+1"]],
    start: Moments | None = None,
) -> list[Moments]:
    """Return the moments of the solver's x at the end of each grid, for data from N(mean, covariance), exactly.

    On Gaussian data the denoiser is affine, so x is affine in the numbers that are drawn: x = c + sum_j G_j z_j, with
    mean c and covariance sum_j G_j G_j^T. c is the run in which every z is 0 and G_j comes from the one in which z_j
    alone is not: runs with keys of a generator of our own (`_generator`), so that neither how often the solver draws
    nor how it splits its keys matters. The z are the coordinates of the start, which is exact at grid[0] unless given,
    and every normal draw of every step. The noise of the last step is kept, whatever `noise_free` says.
    As everywhere, the solver carries x - b(t): start and result are moments of that.
    Raises `AssertionError` where a key is drawn from twice and where x is not affine in the draws.
    """
    with jax.enable_x64(True):
        sde = Centred(sde)
        denoise = GaussianDenoiser(sde, mean, covariance)

        def advance(key: Array, n: Array, x: Array, t: Time, s: Time, state: Any) -> tuple[Step, Any]:
            return solver.step(jax.random.fold_in(key, n), x, t, s, state, sde=sde, denoise=denoise)

        nothing = [_NOWHERE] * np.size(mean)
        drawn = _draws(advance, solver.init, len(nothing), max(grids, key=len))
        wanted = [_NOWHERE, *nothing, *map(list, drawn), _EVERYWHERE]
        keys = jax.random.wrap_key_data(jnp.pad(jnp.array(wanted, jnp.uint32), ((0, 0), (2, 0))), impl=_generator())
        together = jax.jit(jax.vmap(advance, (0, None, 0, None, None, 0)))
        firsts = [marginal(sde, mean, covariance, grid[0]) if start is None else start for grid in grids]
        return [_moments(together, solver.init, keys, *inputs) for inputs in zip(grids, firsts, strict=True)]


def _moments(together: Callable, init: Callable, keys: Array, grid: np.ndarray, start: Moments) -> Moments:
    """Return the moments at the end of one grid, from the runs of all `keys` down it."""
    root, unit = np.linalg.cholesky(start.covariance).T, float(jax.random.normal(keys[-1]))
    x = np.tile(start.mean, (len(keys), 1))
    x[1 : len(root) + 1] += unit * root
    x[-1] += unit * root.sum(0)
    x, state = jnp.asarray(x), jax.vmap(lambda x: init(x, grid))(x)
    for n, (t, s) in enumerate(pairwise(grid)):
        (x, *_), state = together(keys, n, x, t, s, state)
    _, columns, every = np.split(np.array(x - x[0]), [1, len(x) - 1])
    affine = np.allclose(columns.sum(0), every[0], rtol=1e-6, atol=1e-9 * np.abs(x).max())
    assert affine, "the sampler is not affine in its normal draws on Gaussian data: its moments are not known exactly"
    return Moments(np.array(x[0]), columns.T @ columns / unit**2)


_NOWHERE, _EVERYWHERE = [0, 0, 2**32 - 2], [0, 0, 2**32 - 1]


def _generator(record: Callable[..., None] | None = None) -> Hashable:
    """Return a generator whose keys follow paths of their own and whose draws are chosen.

    A key's five words are the two of its path, then the path and the coordinate of the one number wanted. A uniform
    draw is 3/4 there and 1/2 elsewhere, so that a normal one is 0.67 there and 0 elsewhere.
    """

    def child(key: Array, n: Array) -> Array:
        word = key[:2] + (n.astype(jnp.uint32)[..., None] + 1) * jnp.uint32([0x9E3779B1, 0x85EBCA77])
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1)):
            word = (word ^ (word >> shift)) * jnp.uint32(factor)
        return jnp.concatenate([word, jnp.broadcast_to(key[2:], (*word.shape[:-1], 3))], -1)

    def bits(key: Array, width: int, shape: tuple[int, ...]) -> Array:
        coordinates = jnp.arange(math.prod(shape)).reshape(shape)
        if record is not None:
            jax.debug.callback(record, key[:2], coordinates)
        here = jnp.all(key[:2] == key[2:4]) & (coordinates == key[4])
        kind = jnp.dtype(f"uint{width}").type
        return jnp.where(here | (key[4] == _EVERYWHERE[-1]), kind(3 << (width - 2)), kind(1 << (width - 1)))

    return extension.define_prng_impl(
        key_shape=(5,),
        seed=lambda seed: jnp.zeros(5, jnp.uint32),
        split=lambda key, shape: child(key, 2**16 + jnp.arange(math.prod(shape)).reshape(shape)),
        fold_in=lambda key, n: child(key, jnp.asarray(n)),
        random_bits=bits,
    )


def _draws(advance: Callable, init: Callable, size: int, grid: np.ndarray) -> list[tuple[int, ...]]:
    """Return the path and the coordinate of every number drawn on the way down a grid."""
    drawn: list[tuple[int, ...]] = []

    def record(path: Array, coordinates: Array) -> None:
        drawn.extend((*map(int, path), int(i)) for i in np.ravel(coordinates))

    key = jax.random.wrap_key_data(jnp.array([0, 0, *_NOWHERE], jnp.uint32), impl=_generator(record))
    x, steps = jnp.ones(size), (jnp.arange(len(grid) - 1), jnp.array(grid[:-1]), jnp.array(grid[1:]))
    jax.lax.map(lambda step: advance(key, step[0], x, *step[1:], init(x, grid))[0].x, steps)
    jax.effects_barrier()
    assert len(set(drawn)) == len(drawn), "the sampler draws from one key twice, which makes its draws dependent"
    return drawn
