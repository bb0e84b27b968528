"""Other projects' files of weights: read into plain containers of arrays, without their libraries."""

from sde_jax.checkpoints.files import read_checkpoint as read_checkpoint
from sde_jax.checkpoints.flax_file import read_flax as read_flax
from sde_jax.checkpoints.safetensors_file import read_safetensors as read_safetensors
from sde_jax.checkpoints.safetensors_file import write_safetensors as write_safetensors
from sde_jax.checkpoints.torch_file import read_torch as read_torch
from sde_jax.checkpoints.tree import flatten as flatten
from sde_jax.checkpoints.tree import require_match as require_match
from sde_jax.checkpoints.tree import unflatten as unflatten
