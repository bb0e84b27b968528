"""Each setting of an official configuration is in its place."""

import json

import numpy as np
import pytest

from sde_jax.commands.official_experiment import official_experiment
from sde_jax.objective import HalfSum, Likelihood, Mean, Simple
from sde_jax.training import ExponentialAverage


@pytest.fixture
def experiment(golden):
    config = json.loads(str(np.load(golden / "net_ncsnpp_ve.npz")["config_json"]))
    return lambda **changes: official_experiment({**config, **changes})


@pytest.mark.parametrize(
    ("changes", "read", "expected"),
    [
        ({"training.reduce_mean": True}, lambda e: e.objective.reduction, Mean()),
        ({"training.reduce_mean": False}, lambda e: e.objective.reduction, HalfSum()),
        ({"training.likelihood_weighting": True}, lambda e: e.objective.weighting, Likelihood()),
        ({"training.likelihood_weighting": False}, lambda e: e.objective.weighting, Simple()),
        ({"data.centered": True}, lambda e: e.data_range, (-1.0, 1.0)),
        ({"data.centered": False}, lambda e: e.data_range, (0.0, 1.0)),
        ({"training.batch_size": 48}, lambda e: e.training.batch_size, 48),
        ({"training.n_iters": 77}, lambda e: e.training.steps, 77),
        ({"data.random_flip": False}, lambda e: e.training.flip, False),
        ({"optim.lr": 3e-4}, lambda e: e.training.optimizer.learning_rate, 3e-4),
        ({"optim.warmup": 33}, lambda e: e.training.optimizer.warmup, 33),
        ({"optim.warmup": 33}, lambda e: e.training.optimizer.from_zero, True),
        ({"optim.grad_clip": -1.0}, lambda e: e.training.optimizer.clip, 0.0),
        ({"optim.beta1": 0.8}, lambda e: e.training.optimizer.b1, 0.8),
        ({"model.ema_rate": 0.99}, lambda e: e.training.average, ExponentialAverage(0.99)),
    ],
)
def test_a_setting_is_in_its_place(experiment, changes, read, expected):
    assert read(experiment(**changes)) == expected
