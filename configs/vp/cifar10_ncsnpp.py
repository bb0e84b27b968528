"""CIFAR-10, 32x32, with NCSN++ on the chain of DDPM.

    sde-jax train --config configs/vp/cifar10_ncsnpp.py --workdir runs/vp_cifar10_ncsnpp

Hardware: not stated.
Published: none.
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.sampling import ReverseDiffusion, Tables
from sde_jax.sde import DDPM


def get_config() -> Experiment:
    """Return the experiment."""
    chain = DDPM(beta_min=0.1, beta_max=20.0, steps=1000)
    return paper.ddpm(
        chain,
        ReverseDiffusion(discretization=Tables(chain)),
        data=paper.cifar10(),
        network=paper.ncsnpp(),
        training=paper.training(decay=0.9999),
    )
