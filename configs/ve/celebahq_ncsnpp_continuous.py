"""CelebA-HQ, 1024x1024, with NCSN++ on the VE SDE, continuous times.

    sde-jax train --config configs/ve/celebahq_ncsnpp_continuous.py --workdir runs/ve_celebahq_ncsnpp_cont

The official file imports torch, which its repository does not install, and lacks settings that its loop reads.
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
        VE(sigma_min=0.01, sigma_max=1348.0),
        levels=2000,
        snr=0.15,
        data=paper.celebahq(1024),
        network=paper.ncsnpp_1024(),
        training=paper.training_large(decay=0.9999, batch_size=8),
    )
