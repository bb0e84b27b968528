"""CelebA-HQ, 256x256, with DDPM's network on the chain of DDPM.

    sde-jax train --config configs/vp/ddpm/celebahq.py --workdir runs/vp_ddpm_celebahq

Hardware: not stated.
Published: none.
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.sampling import DDPMAncestral
from sde_jax.sde import DDPM


def get_config() -> Experiment:
    """Return the experiment."""
    chain = DDPM(beta_min=0.1, beta_max=20.0, steps=1000)
    return paper.ddpm(
        chain,
        DDPMAncestral(chain),
        data=paper.celebahq(256),
        network=paper.ddpm_256(),
        training=paper.training_large(decay=0.9999, learning_rate=2e-5),
    )
