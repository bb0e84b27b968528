from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from sde_jax.nn import outline, stateless
from sde_jax.nn.inception import InceptionV3

RECORDED = Path(__file__).parent / "fixtures" / "inception_107.npz"


@pytest.fixture(scope="session")
def inception_state() -> Mapping[str, np.ndarray]:
    """A state dict of Inception-v3 of random numbers, by which signals neither grow nor fade."""
    draws = np.random.RandomState(0)  # whose numbers no version of NumPy changes
    _, like = stateless(outline(InceptionV3(), (299, 299, 3)))
    state = {}
    for name, conv in like["convs"].items():
        *window, inputs, outputs = conv["kernel"].shape
        deviation = np.sqrt(2 / (np.prod(window) * inputs))
        state[f"{name}.conv.weight"] = deviation * draws.standard_normal((outputs, inputs, *window))
        for moment, middle in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            state[f"{name}.bn.{moment}"] = middle + draws.uniform(-0.3, 0.3, outputs)
    state |= {"fc.weight": draws.standard_normal((1008, 2048)) / 45, "fc.bias": draws.standard_normal(1008)}
    return {name: array.astype(np.float32) for name, array in state.items()}


@pytest.fixture(scope="session")
def inception_image() -> np.ndarray:
    """An image of 107 x 107 noisy colours, of which the last blocks see 2 x 2."""
    return np.random.RandomState(1).randint(0, 256, (107, 107, 3)).astype(np.uint8)


@pytest.fixture(scope="session")
def inception_recorded() -> Mapping[str, np.ndarray]:
    """`features` [2048] and `logits` [1008], unbiased, that torch-fidelity computed of these in float64, unresized."""
    return dict(np.load(RECORDED))
