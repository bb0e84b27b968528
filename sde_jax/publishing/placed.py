"""The files of a published model, which are placed together."""

from sde_jax.placing import placed as placed
from sde_jax.placing import require_directory as require_directory
from sde_jax.placing import require_free as require_free

WEIGHTS, CONFIG, CARD = FILES = ("model.safetensors", "config.json", "README.md")
"""Of a published model."""
