"""Training objectives: the loss, its weighting and its times."""

from sde_jax.objective.coupling import Coupling as Coupling
from sde_jax.objective.coupling import Independent as Independent
from sde_jax.objective.coupling import OptimalTransport as OptimalTransport
from sde_jax.objective.coupling import Reflow as Reflow
from sde_jax.objective.matching import by_noise_level as by_noise_level
from sde_jax.objective.matching import denoising_score_matching as denoising_score_matching
from sde_jax.objective.matching import matching_error as matching_error
from sde_jax.objective.objective import Objective as Objective
from sde_jax.objective.reduction import HalfSum as HalfSum
from sde_jax.objective.reduction import Mean as Mean
from sde_jax.objective.reduction import Reduction as Reduction
from sde_jax.objective.times import Importance as Importance
from sde_jax.objective.times import LogitNormal as LogitNormal
from sde_jax.objective.times import LogNormal as LogNormal
from sde_jax.objective.times import TableTimes as TableTimes
from sde_jax.objective.times import Times as Times
from sde_jax.objective.times import Uniform as Uniform
from sde_jax.objective.times import UniformLogSNR as UniformLogSNR
from sde_jax.objective.weighting import P2 as P2
from sde_jax.objective.weighting import EDMWeighting as EDMWeighting
from sde_jax.objective.weighting import FlowMatching as FlowMatching
from sde_jax.objective.weighting import Likelihood as Likelihood
from sde_jax.objective.weighting import MinSNR as MinSNR
from sde_jax.objective.weighting import Sigmoid as Sigmoid
from sde_jax.objective.weighting import Simple as Simple
from sde_jax.objective.weighting import Weighting as Weighting
