"""Sequential Monte Carlo down a grid of times: weighted particles, resampled when their weights grow uneven."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int

from sde_jax.checks import finite
from sde_jax.errors import InputError, takes_components, whole
from sde_jax.particles.resampling import effective_sample_size, normalized, systematic
from sde_jax.pytree import in_one_line
from sde_jax.sampling.grids import checked
from sde_jax.sampling.loop import check_shape
from sde_jax.typing import Array, Key, Time

FEW = 10.0
"""The number of first particles with descendants below which the normaliser's error is said to be unknown."""
ALONE = 1.5
"""The effective sample size below which one particle is said to have all the weight."""


class System(Protocol):
    """What moves one particle, a pytree, and weighs it."""

    def start(self, key: Key, shape: tuple[int, ...], grid: Array) -> tuple[Any, Array]:
        """Draw a particle at grid[0]; return it and the logarithm of its weight.

        Raises `InputError` for a grid or a shape that cannot be used.
        """
        ...

    def move(self, key: Key, particle: Any, t: Time, s: Time, last: Bool[Array, ""]) -> tuple[Any, Array]:
        """Carry a particle from t to s < t, in the `last` step of the grid or not; return what its log-weight gains."""
        ...

    def read(self, particle: Any, t: Time) -> Array:
        """Return the example that a particle at t stands for."""
        ...


@in_one_line
class Particles(NamedTuple):
    """Weighted samples: sum_i exp(log_weights[i]) h(x[i]) estimates the target's mean of h(x).

    x: [n, *shape]; log_weights: [n], normalised; log_normalizer: log of the estimate, unbiased itself, of the target's
    normaliser; log_normalizer_error: the standard error of that logarithm by chance, from how unevenly weight has come
    to the descendants of the first particles (Chan & Lai 2013; Lee & Whiteley 2018), infinite where the weight is with
    so few (fewer than `FEW`) that it cannot be known; what the grid adds is told by `log_normalizer`; ess: [steps], the
    effective sample size after each step, before resampling; resampled: [steps], whether the step was followed by
    resampling; collapsed: whether at some time one particle had all the weight (an effective sample size below 1.5), so
    that the samples descend from one, and neither they nor the normaliser can be trusted: take more particles, or more
    steps.
    """

    x: Float[Array, "n ..."]
    log_weights: Float[Array, " n"]
    log_normalizer: Float[Array, ""]
    log_normalizer_error: Float[Array, ""]
    ess: Float[Array, " steps"]
    resampled: Bool[Array, " steps"]
    collapsed: Bool[Array, ""]

    def unweighted(self, key: Key) -> Float[Array, "n ..."]:
        """Return n samples of equal weight, drawn by systematic resampling: some of them equal."""
        return self.x[systematic(key, self.log_weights)]


class _Cloud(NamedTuple):
    """Particles [n, ...], their log-weights since they were last resampled, and log of the normaliser until then.

    ancestors: the number of the particle at the start that each descends from.
    """

    particles: Any
    log_weights: Float[Array, " n"]
    log_normalizer: Float[Array, ""]
    ancestors: Int[Array, " n"]

    def resampled(self, key: Key, wanted: Bool[Array, ""]) -> "_Cloud":
        """Return the cloud after resampling where it is `wanted`, and as it is otherwise."""
        n = len(self.log_weights)
        chosen = jnp.where(wanted, systematic(key, self.log_weights), jnp.arange(n))
        particles = jax.tree.map(lambda leaf: leaf[chosen], self.particles)
        log_normalizer = jnp.where(wanted, self.log_mean(), self.log_normalizer)
        return _Cloud(particles, jnp.where(wanted, 0.0, self.log_weights), log_normalizer, self.ancestors[chosen])

    def log_mean(self) -> Float[Array, ""]:
        """Return log of the estimate of the normaliser."""
        return self.log_normalizer + jax.nn.logsumexp(self.log_weights) - jnp.log(len(self.log_weights))

    def log_mean_error(self) -> Float[Array, ""]:
        """Return its standard error, sqrt(sum_k (W_k - 1/n)^2 n / (n - 1)), W_k the weight that k's descendants have.

        The normaliser is a mean over the first particles of what their descendants brought to it.
        """
        n = len(self.log_weights)
        weights = jnp.zeros(n).at[self.ancestors].add(jax.nn.softmax(self.log_weights))
        error = jnp.sqrt(jnp.sum(jnp.square(weights - 1 / n)) * n / (n - 1))
        return jnp.where(jnp.sum(jnp.square(weights)) > 1 / FEW, jnp.inf, error)


@takes_components
def sample_particles(
    key: Key,
    system: System,
    grid: ArrayLike,
    shape: tuple[int, ...],
    n: int,
    threshold: float = 0.5,
    window: tuple[float, float] = (0.0, 1.0),
) -> Particles:
    """Carry n particles of one `system` down the grid; several systems are `jax.vmap` over keys.

    After a step to a time within `window`, unless it is the last, particles are resampled where their effective sample
    size is below `threshold` n; threshold = 1 resamples after every step in which weights differ. Step k draws from
    `key` folded with k, its particle i from that folded with i.

    Raises `InputError` unless n >= 2, 0 < threshold <= 1 and 0 <= window[0] < window[1] <= 1; raises, when the result
    is computed, where weights are NaN, +inf or all 0, and where an x is not finite.
    """
    times = checked(grid)
    check_shape(shape)
    _check(n, threshold, window)
    steps, each = len(times) - 1, jax.vmap(jax.random.fold_in, (None, 0))

    def body(cloud: _Cloud, inputs: tuple[Array, Time, Time]) -> tuple[_Cloud, tuple[Array, Array]]:
        k, t, s = inputs
        moving, choosing = jax.random.split(jax.random.fold_in(key, k))
        keys, last = each(moving, jnp.arange(n)), k == steps
        move = jax.vmap(lambda key, particle: system.move(key, particle, t, s, last))
        particles, gain = move(keys, cloud.particles)
        cloud = cloud._replace(particles=particles, log_weights=cloud.log_weights + gain)
        ess = effective_sample_size(cloud.log_weights)
        wanted = (window[0] <= s) & (s <= window[1]) & ~last & (ess < threshold * n)
        return cloud.resampled(choosing, wanted), (ess, wanted)

    keys = each(jax.random.fold_in(key, 0), jnp.arange(n))
    start = jax.jit(jax.vmap(lambda key: system.start(key, shape, times)))
    particles, log_weights = start(keys)
    cloud = _Cloud(particles, log_weights, jnp.zeros(()), jnp.arange(n))
    cloud, (ess, wanted) = jax.lax.scan(body, cloud, (jnp.arange(1, steps + 1), times[:-1], times[1:]))
    return _result(system, cloud, times[-1], ess, wanted)


@in_one_line
class LogNormalizer(NamedTuple):
    """log of a target's normaliser, in nats, and its two errors.

    value: with all the grid; by_chance: its standard error, `Particles.log_normalizer_error`; by_grid: what finer steps
    would change, estimated (it has by_chance's error too); particles: those of all the grid.
    """

    value: Float[Array, ""]
    by_chance: Float[Array, ""]
    by_grid: Float[Array, ""]
    particles: Particles


def log_normalizer(
    key: Key,
    system: System,
    grid: ArrayLike,
    shape: tuple[int, ...],
    n: int,
    threshold: float = 0.5,
    window: tuple[float, float] = (0.0, 1.0),
) -> LogNormalizer:
    """Return log of the normaliser with both its errors, by `sample_particles` down the grid and every second time.

    With Z_h of steps h, log Z_h - log Z_2h = (1 - 2^p) C h^p: by_grid is |log Z_h - log Z_2h| / (2^p - 1), p the
    system's `normalizer_order`, 1 for one that states none (Richardson). Where it is not small beside what one wants to
    know, take more steps. Half as much again as `sample_particles` costs. Raises as that does, and `InputError` for a
    grid of one step.
    """
    times = checked(grid)
    steps = len(times) - 1
    if steps < 2:
        raise InputError(f"a grid of {steps} step: expected two or more, to be compared with half as many")
    fine, coarse = jax.random.split(key)
    found = sample_particles(fine, system, times, shape, n, threshold, window)
    half = np.unique([*range(0, steps, 2), steps])
    other = sample_particles(coarse, system, times[half], shape, n, threshold, window).log_normalizer
    order = getattr(system, "normalizer_order", 1.0)
    change = jnp.abs(found.log_normalizer - other) / (2**order - 1)
    return LogNormalizer(found.log_normalizer, found.log_normalizer_error, change, found)


def _result(system: System, cloud: _Cloud, t: Time, ess: Array, resampled: Array) -> Particles:
    x = jax.vmap(lambda particle: system.read(particle, t))(cloud.particles)
    x = finite(
        x, f"particles of {type(system).__name__} came to NaN or infinity: take more steps, or look at the models"
    )
    normaliser = cloud.log_mean(), cloud.log_mean_error()
    # Weights that are lost at any step stay lost: their effective sample size is NaN, and nothing is resampled.
    return Particles(x, normalized(cloud.log_weights), *normaliser, ess, resampled, jnp.any(ess < ALONE))


def _check(n: int, threshold: float, window: tuple[float, float]) -> None:
    if not whole(n, 2):
        raise InputError(f"n = {n!r} particles: expected a whole number, 2 or more")
    if not 0 < threshold <= 1:
        raise InputError(f"threshold = {threshold!r}: expected a part of the number of particles, in (0, 1]")
    if len(window) != 2 or not 0 <= window[0] < window[1] <= 1:
        raise InputError(f"window = {window!r}: expected two times, 0 <= first < second <= 1")
