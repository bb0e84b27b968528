"""CelebA, 64x64, with NCSN on the chain of SMLD.

    sde-jax train --config configs/ve/ncsn/celeba.py --workdir runs/ve_ncsn_celeba

The official file names no SDE, so that its code stops; the SDE is that of its relatives.
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
        training=paper.training_refinenet(decay=0.0, learning_rate=1e-3),
    )
