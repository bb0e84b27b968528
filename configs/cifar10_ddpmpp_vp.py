"""32x32 colour images (CIFAR-10) with DDPM++ on the VP SDE, continuous times.

    sde-jax train --config configs/cifar10_ddpmpp_vp.py --workdir runs/cifar10 --config.data.path=images.zip

The settings of the official `vp/cifar10_ddpmpp_continuous` (Song et al. 2021, appendix H), except that training images
are dequantised as they are for the likelihood. Hardware: about three days on 4 V100 for the official code.
Published: FID 2.55, 3.16 bits/dim (Song et al. 2021, tables 2 and 3). Result: not yet run.
"""

from sde_jax.data import Images
from sde_jax.experiment import Experiment, Objective, Sampler, Scoring, Training
from sde_jax.likelihood import Hutchinson
from sde_jax.nn import NCSNpp
from sde_jax.objective import Simple, Uniform
from sde_jax.ode import Tolerance
from sde_jax.prediction import Epsilon
from sde_jax.sampling import EulerMaruyama, PredictorCorrector, ProbabilityFlow, grids
from sde_jax.sde import VP
from sde_jax.training import Adam, ExponentialAverage


def get_config() -> Experiment:
    """Return the experiment."""
    return Experiment(
        data=Images(path="cifar10.zip", held_out_per_class=500),
        sde=VP(beta_min=0.1, beta_max=20.0),
        network=NCSNpp(
            features=128,
            channel_multipliers=(1, 2, 2, 2),
            blocks_per_level=4,
            attention_resolutions=(16,),
            dropout=0.1,
        ),
        objective=Objective(Epsilon(), Simple(), Uniform(start=1e-5)),
        training=Training(
            steps=1_300_000,
            batch_size=128,
            flip=True,
            optimizer=Adam(learning_rate=2e-4, warmup=5000, clip=1.0, from_zero=True),
            average=ExponentialAverage(decay=0.9999),
            log_every=50,
            checkpoint_every=10_000,
        ),
        samplers={
            "em": Sampler(EulerMaruyama(), steps=1000, end=1e-3, spacing=grids.Uniform()),
            "pc": Sampler(PredictorCorrector(), steps=1000, end=1e-3, spacing=grids.Uniform()),
            "ode": Sampler(ProbabilityFlow(Tolerance(rtol=1e-5, atol=1e-5)), steps=1000, end=1e-5),
        },
        likelihood=Scoring(Hutchinson(1), Tolerance(rtol=1e-5, atol=1e-5), start=1e-5, passes=1, batch_size=128),
        seed=0,
    )
