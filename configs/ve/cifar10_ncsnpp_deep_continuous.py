"""CIFAR-10, 32x32, with NCSN++ (deep) on the VE SDE, continuous times.

    sde-jax train --config configs/ve/cifar10_ncsnpp_deep_continuous.py --workdir runs/ve_cifar10_ncsnpp_deep_cont

Hardware: not stated.
Published: FID 2.20, IS 9.89 (Song et al. 2021, tables 2 and 3).
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
        network=paper.ncsnpp(blocks_per_level=8),
        training=paper.training(decay=0.999, steps=950_001),
    )
