"""Handwritten digits, 8x8, on the VP SDE, by a network that is told the digit, or in a tenth of cases nothing.

    sde-jax train --config configs/digits_class_vp.py --workdir runs/classes
    sde-jax sample --workdir runs/classes --sampler dpm --label 3 --guidance 2

Hardware: 2 CPU cores, 14 minutes while six other programs ran on them.
Result: of 500 digits asked to be a 3, 99.0% are by their nearest training digit, 100% with --guidance 2 (2026-11-28).
"""

from sde_jax.data import Digits
from sde_jax.experiment import Experiment, Objective, Sampler, Scoring, Training
from sde_jax.likelihood import Hutchinson
from sde_jax.nn import MLP, ClassLabel
from sde_jax.objective import EDMWeighting, UniformLogSNR
from sde_jax.ode import Tolerance
from sde_jax.prediction import EDM
from sde_jax.sampling import IPNDM, DPMSolverMultistep, PredictorCorrector, ProbabilityFlow, grids
from sde_jax.sde import VP
from sde_jax.training import Adam, ExponentialAverage


def get_config() -> Experiment:
    """Return the experiment."""
    return Experiment(
        data=Digits(),
        sde=VP(beta_min=0.1, beta_max=20.0),
        network=MLP(width=384, depth=4, condition=ClassLabel(10)),
        objective=Objective(
            EDM(sigma_data=0.7, noise_scale=100.0), EDMWeighting(sigma_data=0.7), UniformLogSNR(start=1e-5)
        ),
        training=Training(
            steps=4000,
            batch_size=256,
            label_dropout=0.1,
            optimizer=Adam(learning_rate=1.5e-3, warmup=200, half_life=1500),
            average=ExponentialAverage(decay=0.999),
            log_every=25,
            checkpoint_every=1000,
        ),
        samplers={
            "pc": Sampler(PredictorCorrector(), steps=500, end=1e-3, spacing=grids.Uniform()),
            "ode": Sampler(ProbabilityFlow(Tolerance(rtol=1e-4, atol=1e-4)), steps=500, end=1e-5),
            "dpm": Sampler(DPMSolverMultistep(), steps=25, end=1e-3, spacing=grids.LogSNR()),
            "fast": Sampler(IPNDM(), steps=10),
        },
        likelihood=Scoring(Hutchinson(4), Tolerance(rtol=1e-4, atol=1e-4), start=1e-5, passes=1, batch_size=297),
        seed=0,
    )
