"""Samplers of few evaluations, tuned to a trained model."""

from sde_jax.tuning.tune import STANDARD as STANDARD
from sde_jax.tuning.tune import Bench as Bench
from sde_jax.tuning.tune import Effort as Effort
from sde_jax.tuning.tune import Tuning as Tuning
from sde_jax.tuning.tune import tune as tune
from sde_jax.tuning.tune import tune_given as tune_given
