"""CIFAR-10, 32x32, with NCSN and techniques 1, 2 and 4 of NCSNv2 on the chain of SMLD.

    sde-jax train --config configs/ve/ncsn/cifar10_124.py --workdir runs/ve_ncsn_cifar10_124

Hardware: not stated.
Published: none.
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.nn import NCSN
from sde_jax.sde import SMLD


def get_config() -> Experiment:
    """Return the experiment."""
    chain = SMLD(sigma_min=0.01, sigma_max=50.0, steps=232)
    return paper.annealed(
        chain,
        snr=0.176,
        moves=5,
        data=paper.cifar10(),
        network=NCSN(features=128, classes=chain.steps),
        training=paper.training_refinenet(decay=0.0, learning_rate=1e-3),
    )
