"""Metrics: how far samples are from data, each a monoid over examples that streams and merges."""

from sde_jax.metrics.features import Extractor as Extractor
from sde_jax.metrics.features import Features as Features
from sde_jax.metrics.features import Raw as Raw
from sde_jax.metrics.metric import Metric as Metric
from sde_jax.metrics.metric import Result as Result
from sde_jax.metrics.metric import State as State
from sde_jax.metrics.outputs import Outputs as Outputs
from sde_jax.metrics.outputs import checked as checked
