"""CIFAR-10, 32x32, with NCSN on the chain of SMLD.

    sde-jax train --config configs/ve/ncsn/cifar10.py --workdir runs/ve_ncsn_cifar10

Hardware: not stated.
Published: FID 25.32, IS 8.87 (Song & Ermon 2019, their own code).
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.nn import NCSN
from sde_jax.sde import SMLD


def get_config() -> Experiment:
    """Return the experiment."""
    chain = SMLD(sigma_min=0.01, sigma_max=1.0, steps=10)
    return paper.annealed(
        chain,
        snr=0.316,
        moves=100,
        data=paper.cifar10(),
        network=NCSN(features=128, classes=chain.steps),
        training=paper.training_refinenet(decay=0.0, learning_rate=1e-3),
    )
