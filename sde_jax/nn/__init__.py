"""Networks, and the seam through which the rest of the library sees them."""

from sde_jax.nn.architecture import Architecture as Architecture
from sde_jax.nn.functional import Apply as Apply
from sde_jax.nn.functional import abstract as abstract
from sde_jax.nn.functional import functional as functional
from sde_jax.nn.functional import initialized as initialized
from sde_jax.nn.mlp import MLP as MLP
from sde_jax.nn.ncsnpp import NCSNpp as NCSNpp
