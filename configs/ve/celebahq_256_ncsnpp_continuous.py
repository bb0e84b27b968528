"""CelebA-HQ, 256x256, with NCSN++ on the VE SDE, continuous times.

    sde-jax train --config configs/ve/celebahq_256_ncsnpp_continuous.py --workdir runs/ve_celebahq_256_ncsnpp_cont

Hardware: not stated.
Published: none.
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.sde import VE


def get_config() -> Experiment:
    """Return the experiment."""
    return paper.ve(
        VE(sigma_min=0.01, sigma_max=348.0),
        levels=2000,
        snr=0.075,
        data=paper.celebahq(256),
        network=paper.ncsnpp_256(),
        training=paper.training_large(decay=0.999),
    )
