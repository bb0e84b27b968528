"""The samplers around one: times, told times and weights as one vector of numbers."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.sampling import BoundedNoiseGrid, Tuned
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array


@dataclass(frozen=True)
class Family:
    """Samplers of the steps of `around`, by a vector q of `size` numbers; q = 0 is `around` itself.

    With lambda the log-SNR, between that of the first time and that of the last:

     - steps: lambda_{n+1} - lambda_n is the share softmax(log d + a)_n of the whole, d those of `around`, a_0 = 0:
       times fall whatever a is;
     - told: the denoiser is told the time at which lambda is lambda_n + u_n, n >= 1;
     - weights: w_nk = (1 - e^(lambda_n - lambda_{n+1})) (v_nk + q_nk), v those of `around` over that factor, which is
       what they sum to where the denoiser is constant.

    q holds a, then u, then the q_nk row by row. Where lambda is infinite at an end, the times inside stay within the
    rho = sigma / alpha of `sampling.NoiseGrid` there. memory: k > n - memory alone have a q_nk.
    """

    sde: GaussianPath
    around: Tuned
    memory: int
    bounds: tuple[float, float]
    log_gaps: Float[np.ndarray, " n"]
    told_before: Float[np.ndarray, " n-1"]
    scaled: Float[np.ndarray, "n n"]

    @classmethod
    def of(cls, sde: GaussianPath, around: Tuned, memory: int) -> "Family":
        """Return the samplers around one."""
        times, steps = jnp.asarray(around.times), len(around.told)
        lam = np.asarray(_log_snrs(sde, times), float)
        told = np.asarray(_log_snrs(sde, jnp.asarray(around.told)), float)[1:] - lam[1:-1]
        low = -np.log(BoundedNoiseGrid.largest) if np.isinf(lam[0]) else lam[0]
        high = -np.log(BoundedNoiseGrid.smallest) if np.isinf(lam[-1]) else lam[-1]
        gaps = np.maximum(np.diff(np.clip(lam, low, high)), LEAST)
        rows = np.zeros((steps, steps))
        for n, row in enumerate(around.weights):
            rows[n, : n + 1] = row
        return cls(sde, around, memory, (low, high), np.log(gaps), told, rows / np.asarray(_whole(sde, times))[:, None])

    @property
    def steps(self) -> int:
        """How many steps there are."""
        return len(self.around.told)

    @property
    def free(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows and columns of the weights that q moves."""
        rows, columns = np.tril_indices(self.steps)
        near = rows - columns < self.memory
        return rows[near], columns[near]

    @property
    def size(self) -> int:
        """The length of q."""
        return 2 * (self.steps - 1) + len(self.free[0])

    def member(self, q: Float[Array, " size"]) -> Tuned:
        """Return the sampler of q, of arrays, with which it can be differentiated."""
        steps, sde, (low, high) = self.steps, self.sde, self.bounds
        a, u, moved = q[: steps - 1], q[steps - 1 : 2 * steps - 2], q[2 * steps - 2 :]
        share = jax.nn.softmax(self.log_gaps + jnp.concatenate([jnp.zeros(1), a]))
        inner = low + (high - low) * jnp.cumsum(share)[:-1]
        at = jax.vmap(lambda lam: _time_at(sde, lam))
        first, last = (jnp.asarray([self.around.times[n]], q.dtype) for n in (0, -1))
        times = jnp.concatenate([first, at(inner), last])
        told = jnp.concatenate([first, jnp.clip(at(inner + u + self.told_before), 0.0, 1.0)])
        v = jnp.asarray(self.scaled, q.dtype).at[self.free].add(moved)
        weights = _whole(sde, times)[:, None] * v
        return Tuned(times, told, tuple(weights[n, : n + 1] for n in range(steps)))  # pyright: ignore[reportArgumentType]


LEAST = 1e-3
"""The shortest step of a start, in log-SNR: one of 0 could not be made longer by a factor."""


def _log_snrs(sde: GaussianPath, times: Float[Array, " n"]) -> Float[Array, " n"]:
    return jax.vmap(lambda t: jnp.mean(sde.log_snr(t)))(times)


def _whole(sde: GaussianPath, times: Float[Array, " n+1"]) -> Float[Array, " n"]:
    """Return 1 - e^(-h) of each step, 1 where h is infinite."""
    lam = _log_snrs(sde, times)
    finite = jnp.isfinite(lam)
    lam = jnp.where(finite, lam, 0.0)
    return jnp.where(finite[1:] & finite[:-1], -jnp.expm1(lam[:-1] - lam[1:]), 1.0)


def _time_at(sde: GaussianPath, log_snr: Array) -> Array:
    """Return the time at which log-SNR is so much, and its derivative, of which the bisection knows nothing."""
    found = jax.lax.stop_gradient(sde.time_of(log_snr))
    _, slope = jax.jvp(lambda t: jnp.mean(sde.log_snr(t)), (found,), (jnp.ones_like(found),))
    return found + (log_snr - jax.lax.stop_gradient(log_snr)) / jax.lax.stop_gradient(slope)
