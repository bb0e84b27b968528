"""Metrics: how far samples are from data, each a monoid over examples that streams and merges."""

from sde_jax.metrics.features import Extractor as Extractor
from sde_jax.metrics.features import Features as Features
from sde_jax.metrics.features import Raw as Raw
from sde_jax.metrics.frechet import Frechet as Frechet
from sde_jax.metrics.frechet import frechet_distance as frechet_distance
from sde_jax.metrics.inception_score import InceptionScore as InceptionScore
from sde_jax.metrics.kernel import Kernel as Kernel
from sde_jax.metrics.kernel import kernel_distance as kernel_distance
from sde_jax.metrics.metric import Metric as Metric
from sde_jax.metrics.metric import Result as Result
from sde_jax.metrics.metric import State as State
from sde_jax.metrics.moments import Gaussian as Gaussian
from sde_jax.metrics.moments import Moments as Moments
from sde_jax.metrics.moments import gaussian as gaussian
from sde_jax.metrics.moments import merged as merged
from sde_jax.metrics.moments import moments as moments
from sde_jax.metrics.moments import no_moments as no_moments
from sde_jax.metrics.moments import read_gaussian as read_gaussian
from sde_jax.metrics.moments import write_gaussian as write_gaussian
from sde_jax.metrics.outputs import Outputs as Outputs
from sde_jax.metrics.outputs import checked as checked
from sde_jax.metrics.samples import Samples as Samples
from sde_jax.metrics.scalar import mean_over_examples as mean_over_examples
