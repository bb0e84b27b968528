"""Other projects' files of weights: read into plain containers of arrays, without their libraries."""

from sde_jax.checkpoints.torch_file import read_torch as read_torch
from sde_jax.checkpoints.tree import flatten as flatten
from sde_jax.checkpoints.tree import require_match as require_match
from sde_jax.checkpoints.tree import unflatten as unflatten
