"""Denoisers: what a network predicts, and closed forms."""

from sde_jax.prediction import exact as exact
from sde_jax.prediction.coupled import Coupled as Coupled
from sde_jax.prediction.coupled import require_score as require_score
from sde_jax.prediction.coupled import without_score as without_score
from sde_jax.prediction.denoiser import check_denoiser as check_denoiser
from sde_jax.prediction.denoiser import denoiser as denoiser
from sde_jax.prediction.label import Deviation as Deviation
from sde_jax.prediction.label import Label as Label
from sde_jax.prediction.label import LogNoise as LogNoise
from sde_jax.prediction.label import ScaledTime as ScaledTime
from sde_jax.prediction.label import TableLabel as TableLabel
from sde_jax.prediction.parameterization import EDM as EDM
from sde_jax.prediction.parameterization import X0 as X0
from sde_jax.prediction.parameterization import Coefficients as Coefficients
from sde_jax.prediction.parameterization import Epsilon as Epsilon
from sde_jax.prediction.parameterization import Parameterization as Parameterization
from sde_jax.prediction.parameterization import ScoreFunction as ScoreFunction
from sde_jax.prediction.parameterization import V as V
from sde_jax.prediction.parameterization import Velocity as Velocity
from sde_jax.prediction.resampled import at_equal_log_snr as at_equal_log_snr
from sde_jax.prediction.tweedie import denoiser_of as denoiser_of
from sde_jax.prediction.tweedie import score_of as score_of
