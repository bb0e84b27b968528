"""CIFAR-10, 32x32, with NCSN++ on the chain of SMLD.

    sde-jax train --config configs/ve/cifar10_ncsnpp.py --workdir runs/ve_cifar10_ncsnpp

Hardware: not stated.
Published: FID 2.45, IS 9.73 (Song et al. 2021, tables 2 and 3).
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.sde import SMLD


def get_config() -> Experiment:
    """Return the experiment."""
    return paper.smld(
        SMLD(sigma_min=0.01, sigma_max=50.0, steps=1000),
        snr=0.16,
        data=paper.cifar10(),
        network=paper.ncsnpp(),
        training=paper.training(decay=0.999),
    )
