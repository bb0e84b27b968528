"""CIFAR-10, 32x32, with NCSN++ on the VP SDE, continuous times.

    sde-jax train --config configs/vp/cifar10_ncsnpp_continuous.py --workdir runs/vp_cifar10_ncsnpp_cont

Hardware: not stated.
Published: none.
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
        network=paper.ncsnpp(),
        training=paper.training(decay=0.9999),
    )
