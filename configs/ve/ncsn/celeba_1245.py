"""CelebA, 64x64, with NCSN and techniques 1, 2, 4 and 5 of NCSNv2 on the chain of SMLD.

    sde-jax train --config configs/ve/ncsn/celeba_1245.py --workdir runs/ve_ncsn_celeba_1245

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
    chain = SMLD(sigma_min=0.01, sigma_max=90.0, steps=500)
    return paper.annealed(
        chain,
        snr=0.128,
        moves=5,
        data=paper.celeba(),
        network=NCSN(features=128, classes=chain.steps),
        training=paper.training_refinenet(decay=0.999, learning_rate=1e-3),
    )
