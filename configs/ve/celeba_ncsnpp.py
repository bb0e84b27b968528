"""CelebA, 64x64, with NCSN++ on the chain of SMLD.

    sde-jax train --config configs/ve/celeba_ncsnpp.py --workdir runs/ve_celeba_ncsnpp

Hardware: not stated.
Published: FID about 2.5 (an author, official code's issue 10).
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.sde import SMLD


def get_config() -> Experiment:
    """Return the experiment."""
    return paper.smld(
        SMLD(sigma_min=0.01, sigma_max=90.0, steps=1000),
        snr=0.17,
        data=paper.celeba(),
        network=paper.ncsnpp(),
        training=paper.training(decay=0.999),
    )
