"""Guidance: denoisers made of denoisers. What is asked of a model becomes a denoiser that every sampler takes."""

from sde_jax.guidance.classifier import classifier_guided as classifier_guided
from sde_jax.guidance.classifier_free import classifier_free as classifier_free
from sde_jax.guidance.composition import composed as composed
from sde_jax.guidance.data_assimilation import DataAssimilation as DataAssimilation
from sde_jax.guidance.dps import DPS as DPS
from sde_jax.guidance.experts import Bins as Bins
from sde_jax.guidance.experts import experts as experts
from sde_jax.guidance.experts import stacked_experts as stacked_experts
from sde_jax.guidance.gains import DiffPIR as DiffPIR
from sde_jax.guidance.gains import MomentMatching as MomentMatching
from sde_jax.guidance.gains import PiGDM as PiGDM
from sde_jax.guidance.guides import ByClassifier as ByClassifier
from sde_jax.guidance.guides import ClassifierFree as ClassifierFree
from sde_jax.guidance.guides import Guide as Guide
from sde_jax.guidance.interval import Interval as Interval
from sde_jax.guidance.posterior import Corrected as Corrected
from sde_jax.guidance.posterior import Posterior as Posterior
from sde_jax.guidance.posterior import PosteriorMethod as PosteriorMethod
from sde_jax.guidance.posterior import posterior as posterior
from sde_jax.guidance.reward import rewarded as rewarded
from sde_jax.guidance.shift import LogProb as LogProb
from sde_jax.guidance.shift import as_estimate as as_estimate
from sde_jax.guidance.shift import shifted as shifted
