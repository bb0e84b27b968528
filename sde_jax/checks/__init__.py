"""Checks of numbers that are being computed: an error on the host, and NaN inside a compiled program."""

from sde_jax.checks.judged import Checks as Checks
from sde_jax.checks.judged import checked as checked
from sde_jax.checks.judged import judged as judged
from sde_jax.checks.operation import finite as finite
from sde_jax.checks.operation import require as require
