import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sde_jax.checkpoints import FlaxLayout, TorchLayout, official_architecture, to_params
from sde_jax.nn import abstract


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of values that the official code recorded (Song et al. 2021)."""
    folder = Path(__file__).parents[1].parent / "shared" / "golden"
    if not folder.is_dir():
        pytest.skip("the recorded values of the official code (../shared/golden) are not here")
    return folder


@pytest.fixture(scope="session")
def recorded_network(golden):
    """Official networks as ours, by the names of their files.

    Each has its `architecture`, `apply` and `params`, its `layout` and `weights` there, and what it was given and gave
    back: x, t, y, w and grad_x, the gradient of sum(y w); images have their channels last.
    """

    def load(name: str) -> SimpleNamespace:
        recorded = np.load(golden / f"{name}.npz")
        flax = "x_nhwc" in recorded
        config = json.loads(str(recorded["config_json"]))
        architecture = official_architecture(config)
        shape = (config["data.image_size"], config["data.image_size"], config["data.num_channels"])
        apply, params = abstract(architecture, shape)
        layout = FlaxLayout() if flax else TorchLayout()
        weights = {key.removeprefix("param/"): recorded[key] for key in recorded if key.startswith("param/")}
        images = {
            key: recorded[f"{key}_nhwc" if f"{key}_nhwc" in recorded else key] for key in ("x", "y", "w", "grad_x")
        }
        if not flax:
            images = {key: image.transpose(0, 2, 3, 1) for key, image in images.items()}
        return SimpleNamespace(
            architecture=architecture,
            apply=apply,
            params=to_params(architecture, params, weights, layout),
            layout=layout,
            weights=weights,
            t=recorded["t"],
            **images,
        )

    return load


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder, by name."""
    return lambda folder: {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
