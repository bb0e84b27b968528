"""CelebA, 64x64, with NCSNv2 on the chain of SMLD.

    sde-jax train --config configs/ve/ncsnv2/celeba.py --workdir runs/ve_ncsnv2_celeba

The official file's noise_removal = False sets nothing.
Hardware: not stated.
Published: none.
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.nn import NCSNv2
from sde_jax.sde import SMLD


def get_config() -> Experiment:
    """Return the experiment."""
    chain = SMLD(sigma_min=0.01, sigma_max=90.0, steps=500)
    return paper.annealed(
        chain,
        snr=0.128,
        moves=5,
        data=paper.celeba(),
        network=NCSNv2(features=128, scale=paper.table(chain)),
        training=paper.training_refinenet(decay=0.999, learning_rate=1e-4),
    )
