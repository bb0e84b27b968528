"""Several classifiers, each for a range of noise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from sde_jax.errors import InputError, whole
from sde_jax.guidance.shift import LogProb
from sde_jax.typing import Array, Params, Time


@dataclass(frozen=True)
class Bins:
    """K ranges of time that cover [0, 1]: number k is edges[k] <= t < edges[k + 1], and t = 1 belongs to the last.

    Raises `InputError` unless the K + 1 edges rise from 0 to 1.
    """

    edges: tuple[float, ...]

    def __post_init__(self):
        rising = len(self.edges) > 1 and all(low < high for low, high in pairwise(self.edges))
        if not rising or (*self.edges[:1], *self.edges[-1:]) != (0, 1):
            raise InputError(f"edges {self.edges}: expected two or more that rise from 0 to 1, to cover all times once")

    @classmethod
    def uniform(cls, count: int) -> "Bins":
        """Return `count` bins of one width."""
        if not whole(count, 1):
            raise InputError(f"{count} bins: expected 1 or more")
        return cls(tuple((np.arange(count + 1) / count).tolist()))

    @property
    def count(self) -> int:
        """K."""
        return len(self.edges) - 1

    def of(self, t: Time) -> Int[Array, ""]:
        """Return the number of the bin that t is in."""
        return jnp.searchsorted(jnp.asarray(self.edges[1:-1], float), jnp.asarray(t, float), side="right")


def experts(log_probs: Sequence[LogProb], bins: Bins | None = None) -> LogProb:
    """Return (x, t) -> log_probs[k](x, t), k the bin of t; by default the bins are of one width.

    Each sample is sent to the expert of its own t; gradients do not reach the others (Go et al. 2023, PPAP, without
    its routing by the first example of a batch). Where t differs within a batch, all experts are evaluated: with
    parameters of one structure `stacked_experts` looks them up instead.
    Raises `InputError` unless there is one expert for each bin.
    """
    bins = Bins.uniform(len(log_probs)) if bins is None else bins
    _require_each(len(log_probs), bins)
    return lambda x, t: jax.lax.switch(bins.of(t), log_probs, x, t)


def stacked_experts(log_prob: Callable[[Params, Array, Time], Float[Array, ""]], params: Params, bins: Bins) -> LogProb:
    """Return (x, t) -> log_prob(params[k], x, t), k the bin of t: experts of one structure, evaluated one a sample.

    params: a pytree of arrays [K, ...]. Raises `InputError` unless all have K rows.
    """
    for leaf in jax.tree.leaves(params):
        _require_each(len(leaf) if jnp.ndim(leaf) else 0, bins)
    return lambda x, t: log_prob(jax.tree.map(lambda leaf: jnp.asarray(leaf)[bins.of(t)], params), x, t)


def _require_each(found: int, bins: Bins) -> None:
    if found != bins.count:
        raise InputError(f"{found} experts for {bins.count} bins: expected one each")
