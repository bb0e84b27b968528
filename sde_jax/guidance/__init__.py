"""Guidance: denoisers made of denoisers. What is asked of a model becomes a denoiser that every sampler takes."""

from sde_jax.guidance.data_assimilation import DataAssimilation as DataAssimilation
from sde_jax.guidance.dps import DPS as DPS
from sde_jax.guidance.gains import DiffPIR as DiffPIR
from sde_jax.guidance.gains import MomentMatching as MomentMatching
from sde_jax.guidance.gains import PiGDM as PiGDM
from sde_jax.guidance.posterior import Corrected as Corrected
from sde_jax.guidance.posterior import Posterior as Posterior
from sde_jax.guidance.posterior import PosteriorMethod as PosteriorMethod
from sde_jax.guidance.posterior import posterior as posterior
