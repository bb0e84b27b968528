"""LSUN bedroom, 128x128, with NCSNv2 on the chain of SMLD.

    sde-jax train --config configs/ve/ncsnv2/bedroom.py --workdir runs/ve_ncsnv2_bedroom

The official file misspells continuous = False, so that its network, told a noise level, takes it for an index; here it
is told the index.
Hardware: not stated.
Published: none.
Result: not yet run.
"""

from dataclasses import replace

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.nn import NCSNv2Deeper
from sde_jax.sde import SMLD


def get_config() -> Experiment:
    """Return the experiment."""
    chain = SMLD(sigma_min=0.01, sigma_max=190.0, steps=1086)
    return paper.annealed(
        chain,
        snr=0.095,
        moves=3,
        data=paper.lsun("bedroom", 128),
        network=NCSNv2Deeper(features=128, scale=paper.table(chain)),
        training=replace(
            paper.training_refinenet(decay=0.9999, learning_rate=1e-4), steps=2_400_001, checkpoint_every=5000
        ),
    )
