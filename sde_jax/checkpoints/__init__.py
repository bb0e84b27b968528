"""Other projects' weights: files read into plain containers of arrays, without their libraries, and made ours."""

from sde_jax.checkpoints.edm import edm_params as edm_params
from sde_jax.checkpoints.edm import load_edm as load_edm
from sde_jax.checkpoints.edm_architecture import edm_architecture as edm_architecture
from sde_jax.checkpoints.files import read_checkpoint as read_checkpoint
from sde_jax.checkpoints.flax_file import read_flax as read_flax
from sde_jax.checkpoints.load import Weights as Weights
from sde_jax.checkpoints.load import load_score_sde as load_score_sde
from sde_jax.checkpoints.load import official_weights as official_weights
from sde_jax.checkpoints.safetensors_file import read_safetensors as read_safetensors
from sde_jax.checkpoints.safetensors_file import write_safetensors as write_safetensors
from sde_jax.checkpoints.score_sde import FlaxLayout as FlaxLayout
from sde_jax.checkpoints.score_sde import Layout as Layout
from sde_jax.checkpoints.score_sde import TorchLayout as TorchLayout
from sde_jax.checkpoints.score_sde import official_shapes as official_shapes
from sde_jax.checkpoints.score_sde import to_official as to_official
from sde_jax.checkpoints.score_sde import to_params as to_params
from sde_jax.checkpoints.score_sde_config import OfficialModel as OfficialModel
from sde_jax.checkpoints.score_sde_config import Values as Values
from sde_jax.checkpoints.score_sde_config import official_architecture as official_architecture
from sde_jax.checkpoints.score_sde_config import official_model as official_model
from sde_jax.checkpoints.score_sde_file import read_official as read_official
from sde_jax.checkpoints.score_sde_modules import official_modules as official_modules
from sde_jax.checkpoints.torch_file import read_torch as read_torch
from sde_jax.checkpoints.tree import flatten as flatten
from sde_jax.checkpoints.tree import require_match as require_match
from sde_jax.checkpoints.tree import unflatten as unflatten
