"""The loss of a batch: drawn as a whole, measured in parts."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.likelihood import Encoding
from sde_jax.nn import Apply
from sde_jax.objective import Objective, matching_error
from sde_jax.prediction import denoiser
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Batch, Key, Params, Time

LEVELS = 8
"""Buckets of noise levels by which losses are told apart."""


class Levels(NamedTuple):
    """Matching errors by noise level: their sums and how many there are, each [LEVELS] float32, the noisiest first."""

    sums: Array
    counts: Array


class Loss(Protocol):
    """What a train step minimises."""

    def draw(self, key: Key, batch: Batch) -> Any:
        """Return all that is random, for every example of a batch: a pytree of arrays with a leading axis."""
        ...

    def measure(self, params: Params, examples: Any) -> tuple[Float[Array, ""], Levels]:
        """Return the mean loss of examples that were drawn, or of a part of them, and their errors by noise level."""
        ...


class Examples(NamedTuple):
    """Drawn examples: x0 and eps [n, ...], times [n], keys of dropout [n]."""

    x0: Array
    eps: Array
    t: Array
    dropout: Key


@dataclass(frozen=True, eq=False)
class BatchLoss:
    """The mean matching error of a dequantised batch, corrected for the distribution of its times.

    Times are stratified and noise is coupled over the whole batch, whatever the parts in which it is measured.
    """

    apply: Apply
    sde: GaussianPath
    objective: Objective
    encoding: Encoding
    edges: np.ndarray = field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "edges", level_edges(self.sde)[1:-1])

    def __call__(self, params: Params, key: Key, batch: Batch) -> Float[Array, ""]:
        """Return the loss of a batch under a key."""
        return self.measure(params, self.draw(key, batch))[0]

    def draw(self, key: Key, batch: Batch) -> Examples:
        """Return the examples of a batch, [n, ...] at `data`, with their noise and times."""
        first, second, third = jax.random.split(key, 3)
        data = batch["data"]
        x0, eps, dropout = jax.vmap(self._draw)(jax.random.split(first, len(data)), data)
        x0, eps = self.objective.coupling.pair(third, x0, eps)
        return Examples(x0, eps, self.objective.times.draw(second, len(data), self.sde), dropout)

    def _draw(self, key: Key, data: Array) -> tuple[Array, Array, Key]:
        noise, cell, dropout = jax.random.split(key, 3)
        x0, _ = self.encoding.draw(cell, data)
        return x0, self.sde.noise(noise, x0.shape, x0.dtype), dropout

    def measure(self, params: Params, examples: Examples) -> tuple[Float[Array, ""], Levels]:
        """Return the mean corrected error, and the errors as they are by noise level."""
        errors = jax.vmap(self._error, in_axes=(None, 0, 0, 0, 0))(params, *examples)
        correction = jax.vmap(self.objective.times.correction, in_axes=(None, 0))(self.sde, examples.t)
        log_snr = jax.vmap(lambda t: jnp.mean(self.sde.log_snr(t)))(examples.t)
        member = jax.nn.one_hot(jnp.searchsorted(jnp.asarray(self.edges), log_snr), LEVELS)
        return jnp.mean(correction * errors), Levels(errors @ member, member.sum(0))

    def _error(self, params: Params, x0: Array, eps: Array, t: Time, key: Key) -> Float[Array, ""]:
        network = lambda x, label: self.apply(params, x, label, key=key)  # noqa: E731
        denoise = denoiser(network, self.sde, self.objective.parameterization)
        return matching_error(self.sde, denoise, x0, eps, t, self.objective.weighting, self.objective.reduction)


def level_edges(sde: GaussianPath) -> np.ndarray:
    """Return the edges of the buckets, [LEVELS + 1] rising log(alpha / sigma), evenly from t = 0.999 to t = 0.001.

    The first and the last bucket also hold what lies beyond.
    """
    noisy, clean = (np.mean(np.asarray(sde.log_snr(t))) for t in (0.999, 0.001))
    return np.linspace(noisy, clean, LEVELS + 1)
