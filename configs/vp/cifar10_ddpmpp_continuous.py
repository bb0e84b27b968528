"""CIFAR-10, 32x32, with DDPM++ on the VP SDE, continuous times.

    sde-jax train --config configs/vp/cifar10_ddpmpp_continuous.py --workdir runs/vp_cifar10_ddpmpp_cont

Hardware: not stated.
Published: FID 2.55, IS 9.58, FID 3.93 by ODE, 3.16 bits/dim (Song et al. 2021, tables 2 and 3).
Result: not yet run.
"""

from sde_jax import paper
from sde_jax.experiment import Experiment
from sde_jax.sde import VP


def get_config() -> Experiment:
    """Return the experiment."""
    return paper.vp(
        VP(beta_min=0.1, beta_max=20.0),
        data=paper.cifar10(),
        network=paper.ddpmpp(),
        training=paper.training(decay=0.9999),
    )
