"""Samplers: the reverse process from noise to data."""

from sde_jax.sampling import grids as grids
from sde_jax.sampling.adaptive import ProbabilityFlow as ProbabilityFlow
from sde_jax.sampling.adaptive import ReverseSDE as ReverseSDE
from sde_jax.sampling.ancestral import Ancestral as Ancestral
from sde_jax.sampling.discretization import Discretization as Discretization
from sde_jax.sampling.discretization import EulerSteps as EulerSteps
from sde_jax.sampling.discretization import ExactTransition as ExactTransition
from sde_jax.sampling.discretization import Tables as Tables
from sde_jax.sampling.euler_maruyama import EulerMaruyama as EulerMaruyama
from sde_jax.sampling.heun import Heun as Heun
from sde_jax.sampling.identity import Identity as Identity
from sde_jax.sampling.identity import NoCorrection as NoCorrection
from sde_jax.sampling.langevin import Langevin as Langevin
from sde_jax.sampling.langevin import LangevinDynamics as LangevinDynamics
from sde_jax.sampling.loop import FixedGridSolver as FixedGridSolver
from sde_jax.sampling.loop import Samples as Samples
from sde_jax.sampling.loop import Solution as Solution
from sde_jax.sampling.loop import Solver as Solver
from sde_jax.sampling.loop import Step as Step
from sde_jax.sampling.loop import sample as sample
from sde_jax.sampling.official import BatchLangevin as BatchLangevin
from sde_jax.sampling.official import DDPMAncestral as DDPMAncestral
from sde_jax.sampling.official import SMLDAncestral as SMLDAncestral
from sde_jax.sampling.predictor_corrector import Corrector as Corrector
from sde_jax.sampling.predictor_corrector import PredictorCorrector as PredictorCorrector
from sde_jax.sampling.reverse_diffusion import ReverseDiffusion as ReverseDiffusion
