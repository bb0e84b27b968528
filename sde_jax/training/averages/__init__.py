"""Averages of the parameters over training: what samples are drawn with."""

from sde_jax.training.averages.average import Average as Average
from sde_jax.training.averages.exponential import ExponentialAverage as ExponentialAverage
from sde_jax.training.averages.half_life import HalfLife as HalfLife
from sde_jax.training.averages.power import PowerAverages as PowerAverages
from sde_jax.training.averages.power import exponent as exponent
from sde_jax.training.averages.reconstruction import Fit as Fit
from sde_jax.training.averages.reconstruction import Profile as Profile
from sde_jax.training.averages.reconstruction import combined as combined
from sde_jax.training.averages.reconstruction import fit as fit
from sde_jax.training.averages.reconstruction import power_averages as power_averages
from sde_jax.training.averages.reconstruction import reconstruct as reconstruct
from sde_jax.training.averages.several import Several as Several
