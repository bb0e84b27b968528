"""`sde-jax evaluate`: loss, bits per dimension and metrics of samples, over checkpoints and samplers."""

from sde_jax.commands.evaluate.request import Request as Request
from sde_jax.commands.evaluate.results import Results as Results
from sde_jax.commands.evaluate.results import table as table
from sde_jax.commands.evaluate.run import run as run
