"""Consistent samplers: weighted particles whose law is the target's as their number and that of the steps grow."""

from sde_jax.particles.feynman_kac import FeynmanKac as FeynmanKac
from sde_jax.particles.feynman_kac import steady_churn as steady_churn
from sde_jax.particles.loop import LogNormalizer as LogNormalizer
from sde_jax.particles.loop import Particles as Particles
from sde_jax.particles.loop import System as System
from sde_jax.particles.loop import log_normalizer as log_normalizer
from sde_jax.particles.loop import sample_particles as sample_particles
from sde_jax.particles.resampling import effective_sample_size as effective_sample_size
from sde_jax.particles.resampling import normalized as normalized
from sde_jax.particles.resampling import systematic as systematic
from sde_jax.particles.twisted import Twisted as Twisted
from sde_jax.particles.twisted import log_likelihood as log_likelihood
