"""Sequential Monte Carlo down a grid of times: weighted particles, resampled when their weights grow uneven."""

from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jaxtyping import ArrayLike, Bool, Float

from sde_jax.errors import InputError, takes_components, whole
from sde_jax.ode import finite
from sde_jax.particles.resampling import effective_sample_size, normalized, systematic
from sde_jax.pytree import in_one_line
from sde_jax.sampling.grids import checked
from sde_jax.sampling.loop import check_shape
from sde_jax.typing import Array, Key, Time

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
    normaliser; ess: [steps], the effective sample size after each step, before resampling; resampled: [steps], whether
    the step was followed by resampling; collapsed: whether at some time one particle had all the weight (an effective
    sample size below 1.5), so that the samples descend from one, and neither they nor the normaliser can be trusted:
    take more particles, or more steps.
    """

    x: Float[Array, "n ..."]
    log_weights: Float[Array, " n"]
    log_normalizer: Float[Array, ""]
    ess: Float[Array, " steps"]
    resampled: Bool[Array, " steps"]
    collapsed: Bool[Array, ""]

    def unweighted(self, key: Key) -> Float[Array, "n ..."]:
        """Return n samples of equal weight, drawn by systematic resampling: some of them equal."""
        return self.x[systematic(key, self.log_weights)]


class _Cloud(NamedTuple):
    """Particles [n, ...], their log-weights since they were last resampled, and log of the normaliser until then."""

    particles: Any
    log_weights: Float[Array, " n"]
    log_normalizer: Float[Array, ""]

    def resampled(self, key: Key, wanted: Bool[Array, ""]) -> "_Cloud":
        """Return the cloud after resampling where it is `wanted`, and as it is otherwise."""
        n = len(self.log_weights)
        chosen = jnp.where(wanted, systematic(key, self.log_weights), jnp.arange(n))
        particles = jax.tree.map(lambda leaf: leaf[chosen], self.particles)
        log_normalizer = jnp.where(wanted, self.log_mean(), self.log_normalizer)
        return _Cloud(particles, jnp.where(wanted, 0.0, self.log_weights), log_normalizer)

    def log_mean(self) -> Float[Array, ""]:
        """Return log of the estimate of the normaliser."""
        return self.log_normalizer + jax.nn.logsumexp(self.log_weights) - jnp.log(len(self.log_weights))


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
    cloud = _Cloud(particles, log_weights, jnp.zeros(()))
    cloud, (ess, wanted) = jax.lax.scan(body, cloud, (jnp.arange(1, steps + 1), times[:-1], times[1:]))
    return _result(system, cloud, times[-1], ess, wanted)


def _result(system: System, cloud: _Cloud, t: Time, ess: Array, resampled: Array) -> Particles:
    x = jax.vmap(lambda particle: system.read(particle, t))(cloud.particles)
    x = finite(
        x, f"particles of {type(system).__name__} came to NaN or infinity: take more steps, or look at the models"
    )
    # Weights that are lost at any step stay lost: their effective sample size is NaN, and nothing is resampled.
    return Particles(x, normalized(cloud.log_weights), cloud.log_mean(), ess, resampled, jnp.any(ess < ALONE))


def _check(n: int, threshold: float, window: tuple[float, float]) -> None:
    if not whole(n, 2):
        raise InputError(f"n = {n!r} particles: expected a whole number, 2 or more")
    if not 0 < threshold <= 1:
        raise InputError(f"threshold = {threshold!r}: expected a part of the number of particles, in (0, 1]")
    if len(window) != 2 or not 0 <= window[0] < window[1] <= 1:
        raise InputError(f"window = {window!r}: expected two times, 0 <= first < second <= 1")
