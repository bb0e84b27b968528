"""Forward SDEs."""

from sde_jax.sde.centred import Centred as Centred
from sde_jax.sde.discrete import DDPM as DDPM
from sde_jax.sde.discrete import SMLD as SMLD
from sde_jax.sde.discrete import Tabulated as Tabulated
from sde_jax.sde.path import GaussianPath as GaussianPath
from sde_jax.sde.path import path as path
from sde_jax.sde.path import require_falling as require_falling
from sde_jax.sde.path import static as static
from sde_jax.sde.subvp import SubVP as SubVP
from sde_jax.sde.ve import VE as VE
from sde_jax.sde.vp import VP as VP
