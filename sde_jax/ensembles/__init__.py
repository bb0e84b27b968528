"""Ensembles of posterior samples: how they are drawn, what they are worth, and what must be known of them."""

from sde_jax.ensembles.calibration import chi_square_of as chi_square_of
from sde_jax.ensembles.calibration import quantities as quantities
from sde_jax.ensembles.diagnostics import Estimate as Estimate
from sde_jax.ensembles.diagnostics import SpreadSkill as SpreadSkill
from sde_jax.ensembles.diagnostics import Uniformity as Uniformity
from sde_jax.ensembles.diagnostics import coverage as coverage
from sde_jax.ensembles.diagnostics import crps as crps
from sde_jax.ensembles.diagnostics import rank_histogram as rank_histogram
from sde_jax.ensembles.diagnostics import spread_skill as spread_skill
from sde_jax.ensembles.diagnostics import uniformity as uniformity
from sde_jax.ensembles.ensemble import Ensemble as Ensemble
from sde_jax.ensembles.ensemble import Flags as Flags
from sde_jax.ensembles.ensemble import calibrated as calibrated
from sde_jax.ensembles.ensemble import draw as draw
from sde_jax.ensembles.ensemble import drawn as drawn
