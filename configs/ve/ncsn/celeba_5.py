"""CelebA, 64x64, with NCSN and technique 5 of NCSNv2 on the chain of SMLD.

    sde-jax train --config configs/ve/ncsn/celeba_5.py --workdir runs/ve_ncsn_celeba_5

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
    chain = SMLD(sigma_min=0.01, sigma_max=1.0, steps=10)
    return paper.annealed(
        chain,
        snr=0.316,
        moves=100,
        data=paper.celeba(),
        network=NCSN(features=128, classes=chain.steps),
        training=paper.training_refinenet(decay=0.999, learning_rate=1e-3),
    )
