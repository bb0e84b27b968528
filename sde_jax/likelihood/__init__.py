"""Likelihoods: log-densities in nats, images in bits per dimension."""

from sde_jax.likelihood.bits import BitsPerDim as BitsPerDim
from sde_jax.likelihood.bits import bits_per_dim as bits_per_dim
from sde_jax.likelihood.bits import importance_weighted as importance_weighted
from sde_jax.likelihood.deflated import HutchPP as HutchPP
from sde_jax.likelihood.deflated import XTrace as XTrace
from sde_jax.likelihood.dequantize import Dequantizer as Dequantizer
from sde_jax.likelihood.dequantize import Quantization as Quantization
from sde_jax.likelihood.dequantize import TruncatedNormal as TruncatedNormal
from sde_jax.likelihood.dequantize import UniformCell as UniformCell
from sde_jax.likelihood.dequantize import Variational as Variational
from sde_jax.likelihood.diagnostics import fokker_planck_residual as fokker_planck_residual
from sde_jax.likelihood.diagnostics import jacobian_asymmetry as jacobian_asymmetry
from sde_jax.likelihood.divergence import Divergence as Divergence
from sde_jax.likelihood.divergence import Exact as Exact
from sde_jax.likelihood.divergence import Hutchinson as Hutchinson
from sde_jax.likelihood.elbo import Bound as Bound
from sde_jax.likelihood.elbo import elbo as elbo
from sde_jax.likelihood.encoding import Encoding as Encoding
from sde_jax.likelihood.flow import BLURRED as BLURRED
from sde_jax.likelihood.flow import LogLikelihood as LogLikelihood
from sde_jax.likelihood.flow import log_likelihood as log_likelihood
from sde_jax.likelihood.flow import start_below as start_below
from sde_jax.likelihood.probes import Gaussian as Gaussian
from sde_jax.likelihood.probes import Probe as Probe
from sde_jax.likelihood.probes import Rademacher as Rademacher
