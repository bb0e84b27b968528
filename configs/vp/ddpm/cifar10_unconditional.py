"""CIFAR-10, 32x32, with DDPM's network, which is not told the time, on the chain of DDPM.

    sde-jax train --config configs/vp/ddpm/cifar10_unconditional.py --workdir runs/vp_ddpm_cifar10_unconditional

The official PyTorch code cannot build this network; the JAX code can.
Hardware: not stated.
Published: none.
Result: not yet run.
"""

from dataclasses import replace

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
        network=replace(paper.ddpm_32(), noise_conditional=False),
        training=paper.training(decay=0.9999),
    )
