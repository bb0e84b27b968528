"""Networks, and the seam through which the rest of the library sees them."""

from sde_jax.nn.architecture import Architecture as Architecture
from sde_jax.nn.compute import Compute as Compute
from sde_jax.nn.compute import KeepAll as KeepAll
from sde_jax.nn.compute import KeepBlocks as KeepBlocks
from sde_jax.nn.compute import KeepProducts as KeepProducts
from sde_jax.nn.compute import Rematerialization as Rematerialization
from sde_jax.nn.condition import Channels as Channels
from sde_jax.nn.condition import ClassLabel as ClassLabel
from sde_jax.nn.condition import Condition as Condition
from sde_jax.nn.condition import Unconditional as Unconditional
from sde_jax.nn.condition import Vector as Vector
from sde_jax.nn.forward import Forward as Forward
from sde_jax.nn.functional import Apply as Apply
from sde_jax.nn.functional import abstract as abstract
from sde_jax.nn.functional import activations as activations
from sde_jax.nn.functional import functional as functional
from sde_jax.nn.functional import initialized as initialized
from sde_jax.nn.mlp import MLP as MLP
from sde_jax.nn.ncsnpp import NCSNpp as NCSNpp
