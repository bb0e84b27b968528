"""Averages by powers of time."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jaxtyping import Int

from sde_jax.errors import InputError
from sde_jax.training.averages.average import Average, toward
from sde_jax.typing import Array, Params

WIDEST = 12**-0.5
"""The relative deviation of the plain mean, gamma = 0."""


@dataclass(frozen=True)
class PowerAverages(Average):
    """Averages with weights that rise as a power of time, one for each of `deviations` (Karras et al. 2024, section 3).

    After step t the parameters of step n have the weight (n^(gamma + 1) - (n - 1)^(gamma + 1)) / t^(gamma + 1), which
    is the profile (gamma + 1) tau^gamma / t^(gamma + 1), tau in [0, t], integrated over n - 1 < tau <= n. So

        averages <- beta averages + (1 - beta) params,  beta = (1 - 1/n)^(gamma + 1).

    The initial parameters have no weight, and the averages are as much longer as training is: a deviation is the
    profile's standard deviation divided by t (`exponent`). What is carried is a tuple of trees; samples are drawn with
    the first. From those in kept checkpoints averages of other deviations can be made after training (`reconstruct`).
    Raises `InputError` unless the deviations are different numbers in (0, 12^(-1/2)].
    """

    deviations: tuple[float, ...] = (0.05, 0.10)

    def __post_init__(self):
        if not self.deviations or len({*self.names}) < len(self.deviations):
            raise InputError(f"{self}: expected one deviation or several different ones")
        for deviation in self.deviations:
            exponent(deviation)

    @property
    def names(self) -> tuple[str, ...]:
        """The deviations as text."""
        return tuple(f"{deviation:g}" for deviation in self.deviations)

    def init(self, params: Params) -> tuple[Params, ...]:
        """Return as many copies of the parameters as there are deviations."""
        return tuple(jax.tree.map(jnp.copy, params) for _ in self.deviations)

    def update(
        self, averages: tuple[Params, ...], params: Params, step: Int[Array, ""], batch_size: int
    ) -> tuple[Params, ...]:
        """Return the averages after update number `step` (from 1)."""
        log = jnp.log1p(-1 / step)
        rates = [-jnp.expm1((exponent(deviation) + 1) * log) for deviation in self.deviations]
        return tuple(toward(a, params, rate) for a, rate in zip(averages, rates, strict=True))

    def params(self, averages: tuple[Params, ...]) -> Params:
        """Return the average of the first deviation."""
        return averages[0]

    def named(self, averages: tuple[Params, ...]) -> Mapping[str, Params]:
        """Return every average, by its deviation."""
        return dict(zip(self.names, averages, strict=True))


@functools.cache
def exponent(deviation: float) -> float:
    """Return the gamma >= 0 at which the profile tau^gamma on [0, 1] has a standard deviation.

    That is the density of Beta(gamma + 1, 1), of variance u / ((u + 1)^2 (u + 2)) with u = gamma + 1, which falls from
    u = 1 on. With s = deviation^-2 and v = u + 4/3 it is the largest root of v^3 - 3 m v + 2 q = 0, m = s/3 + 1/9,
    q = 2 s/3 + 1/27, whose three roots are real. Raises `InputError` unless 0 < deviation <= 12^(-1/2).
    """
    if not 0 < deviation <= WIDEST:
        raise InputError(f"deviation {deviation}: expected 0 < deviation <= 12^(-1/2), {WIDEST:.4f}")
    s = deviation**-2
    m, q = s / 3 + 1 / 9, 2 * s / 3 + 1 / 27
    u = 2 * math.sqrt(m) * math.cos(math.acos(-q * m**-1.5) / 3) - 4 / 3
    return max(u - 1, 0.0)
