"""`sde-jax restore` and `sde-jax calibrate`: inverse problems of images, and whether their posteriors are right."""

from sde_jax.commands.restoration import calibrate as calibrate
from sde_jax.commands.restoration import restore as restore
from sde_jax.commands.restoration.request import Request as Request
from sde_jax.commands.restoration.tasks import Choices as Choices
