"""Measurements y = A(x0) + n of an example: operators, noise, and what was measured."""

from sde_jax.measurement.blur import Blur as Blur
from sde_jax.measurement.blur import gaussian_kernel as gaussian_kernel
from sde_jax.measurement.coarse import Bicubic as Bicubic
from sde_jax.measurement.coarse import MeanPool as MeanPool
from sde_jax.measurement.fourier import Fourier as Fourier
from sde_jax.measurement.grey import Grey as Grey
from sde_jax.measurement.measurement import Measurement as Measurement
from sde_jax.measurement.measurement import Measurements as Measurements
from sde_jax.measurement.measurement import measure as measure
from sde_jax.measurement.measurement import sources as sources
from sde_jax.measurement.noise import Correlated as Correlated
from sde_jax.measurement.noise import Independent as Independent
from sde_jax.measurement.noise import Noise as Noise
from sde_jax.measurement.operator import Chain as Chain
from sde_jax.measurement.operator import Identity as Identity
from sde_jax.measurement.operator import Linear as Linear
from sde_jax.measurement.operator import Mask as Mask
from sde_jax.measurement.operator import Matrix as Matrix
from sde_jax.measurement.operator import NonLinear as NonLinear
from sde_jax.measurement.operator import Operator as Operator
from sde_jax.measurement.operator import require_linear as require_linear
from sde_jax.measurement.sensors import Sensors as Sensors
from sde_jax.measurement.spectrum import Spectrum as Spectrum
