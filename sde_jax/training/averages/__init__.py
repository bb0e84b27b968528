"""Averages of the parameters over training: what samples are drawn with."""

from sde_jax.training.averages.average import Average as Average
from sde_jax.training.averages.exponential import ExponentialAverage as ExponentialAverage
