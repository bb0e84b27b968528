"""Handwritten digits, 8x8, on the VP SDE.

    sde-jax run --config configs/digits_vp.py --workdir runs/quickstart

Hardware: 2 CPU cores, 2.5 minutes.
Result: 2.194 bits/dim on the 297 held-out images, standard error 0.017 (2026-11-23).
"""

from sde_jax.data import Digits
from sde_jax.experiment import Experiment, Objective, Sampler, Scoring, Training
from sde_jax.likelihood import Hutchinson
from sde_jax.nn import MLP
from sde_jax.objective import EDMWeighting, UniformLogSNR
from sde_jax.ode import Tolerance
from sde_jax.prediction import EDM
from sde_jax.sampling import PredictorCorrector, ProbabilityFlow
from sde_jax.sde import VP
from sde_jax.training import Adam, ExponentialAverage


def get_config() -> Experiment:
    """Return the experiment."""
    return Experiment(
        data=Digits(),
        sde=VP(beta_min=0.1, beta_max=20.0),
        network=MLP(width=384, depth=4),
        objective=Objective(
            EDM(sigma_data=0.7, noise_scale=100.0), EDMWeighting(sigma_data=0.7), UniformLogSNR(start=1e-5)
        ),
        training=Training(
            steps=4000,
            batch_size=256,
            optimizer=Adam(learning_rate=1.5e-3, warmup=200, half_life=1500),
            average=ExponentialAverage(decay=0.999),
            log_every=25,
            checkpoint_every=1000,
        ),
        samplers={
            "pc": Sampler(PredictorCorrector(), steps=500, end=1e-3),
            "ode": Sampler(ProbabilityFlow(Tolerance(rtol=1e-4, atol=1e-4)), steps=500, end=1e-5),
        },
        likelihood=Scoring(Hutchinson(4), Tolerance(rtol=1e-4, atol=1e-4), start=1e-5, passes=1, batch_size=64),
        seed=0,
    )
