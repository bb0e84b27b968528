"""CIFAR-10, 32x32, with DDPM++ on the chain of DDPM.

    sde-jax train --config configs/vp/cifar10_ddpmpp.py --workdir runs/vp_cifar10_ddpmpp

Hardware: not stated.
Published: FID 2.78, IS 9.64 (Song et al. 2021, tables 2 and 3).
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
        data=paper.cifar10(),
        network=paper.ddpmpp(),
        training=paper.training(decay=0.9999),
    )
