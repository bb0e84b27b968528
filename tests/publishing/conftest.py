import dataclasses
import math

import jax
import numpy as np
import pytest

from sde_jax import nn
from sde_jax.experiment import Experiment, Objective, Sampler
from sde_jax.model import Model, Record
from sde_jax.prediction import V
from sde_jax.sampling import DDIM
from sde_jax.sde import VE, Cosine

SHAPE = (4, 4, 1)
NETWORKS = {
    "MLP": nn.MLP(width=4, depth=1),
    "U-Net": nn.NCSNpp(features=4, channel_multipliers=(1, 1), blocks_per_level=1, attention_resolutions=(2,)),
}


def build(network: nn.Architecture, shape=SHAPE, step: int = 12) -> Model:
    """A model with parameters drawn at random: fresh ones have zeros in their last layers."""
    samplers = {"few": Sampler(DDIM(), steps=3), "more": Sampler(DDIM(), steps=4, end=0.01)}
    objective = Objective(V())
    experiment = Experiment(sde=Cosine(), network=network, objective=objective, samplers=samplers, seed=3)
    apply, like = nn.abstract(network, shape)
    draws = np.random.default_rng(step)
    params = jax.tree.map(lambda a: draws.normal(size=a.shape).astype(a.dtype) / math.sqrt(max(a.shape)), like)
    return Model(Record(experiment, shape, 17), apply, params, step)


@pytest.fixture(scope="session", params=NETWORKS)
def any_model(request) -> Model:
    return build(NETWORKS[request.param])


@pytest.fixture(scope="session")
def model() -> Model:
    return build(NETWORKS["MLP"])


@pytest.fixture(scope="session")
def other() -> Model:
    """Another model: wider, on another path, of another step."""
    there = build(nn.MLP(width=6, depth=1), step=34)
    experiment = dataclasses.replace(there.record.experiment, sde=VE())
    return dataclasses.replace(there, record=dataclasses.replace(there.record, experiment=experiment))
