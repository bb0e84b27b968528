"""CIFAR-10, 32x32, with NCSN++ on the VE SDE, continuous times.

    sde-jax train --config configs/ve/cifar10_ncsnpp_continuous.py --workdir runs/ve_cifar10_ncsnpp_cont

Hardware: 4 V100 for about three days, at 0.20 s a step (official code).
Published: FID 2.38, IS 9.83 (Song et al. 2021, tables 2 and 3).
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.sde import VE


def get_config() -> Experiment:
    """Return the experiment."""
    return paper.ve(
        VE(sigma_min=0.01, sigma_max=50.0),
        levels=1000,
        snr=0.16,
        data=paper.cifar10(),
        network=paper.ncsnpp(),
        training=paper.training(decay=0.999),
    )
