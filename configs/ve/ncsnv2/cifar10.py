"""CIFAR-10, 32x32, with NCSNv2 on the chain of SMLD.

    sde-jax train --config configs/ve/ncsnv2/cifar10.py --workdir runs/ve_ncsnv2_cifar10

Hardware: not stated.
Published: FID 10.87, IS 8.40 (Song & Ermon 2020, their own code).
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.nn import NCSNv2
from sde_jax.sde import SMLD


def get_config() -> Experiment:
    """Return the experiment."""
    chain = SMLD(sigma_min=0.01, sigma_max=50.0, steps=232)
    return paper.annealed(
        chain,
        snr=0.176,
        moves=5,
        data=paper.cifar10(),
        network=NCSNv2(features=128, scale=paper.table(chain)),
        training=paper.training_refinenet(decay=0.999, learning_rate=1e-4),
    )
