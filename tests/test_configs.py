import ast
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sde_jax.commands import likelihood, sample, train
from sde_jax.commands.settings import resolve
from sde_jax.experiment import Experiment

REPOSITORY = Path(__file__).parents[1]
CONFIGS = sorted((REPOSITORY / "configs").glob("*.py"))
IMAGES = REPOSITORY.parent / "shared" / "data" / "cifar10-jpeg-train.zip"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_resolves_and_comes_back_from_its_json(path):
    experiment = resolve(str(path), {})
    assert Experiment.from_json(json.loads(json.dumps(experiment.to_json()))) == experiment


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_opens_with_its_command_its_hardware_and_its_result(path):
    header = ast.get_docstring(ast.parse(path.read_text())) or ""
    command = re.search(r"sde-jax (?:train|run) --config (\S+) --workdir runs/", header)
    assert command is not None
    assert command.group(1) == f"configs/{path.name}"
    assert "Hardware: " in header
    assert "Result: " in header


@pytest.mark.slow
@pytest.mark.skipif(not IMAGES.exists(), reason="the images (../shared/data/cifar10-jpeg-train.zip) are not here")
def test_a_shrunk_ddpmpp_trains_samples_and_scores_colour_images_on_a_cpu(tmp_path):
    overrides = {
        "data.path": str(few_images(tmp_path / "images.zip")),
        "data.held_out_per_class": "2",
        "network.features": "8",
        "network.channel_multipliers": "(1, 2)",
        "network.blocks_per_level": "1",
        "network.attention_resolutions": "(16,)",
        "training.steps": "3",
        "training.batch_size": "4",
        "training.checkpoint_every": "2",
        "samplers.pc.steps": "3",
        "samplers.em.steps": "3",
        "likelihood.tolerance.rtol": "1e-3",
        "likelihood.tolerance.atol": "1e-3",
    }
    run = tmp_path / "run"
    assert train.run(resolve(str(REPOSITORY / "configs" / "cifar10_ddpmpp_vp.py"), overrides), run) == 0
    for name in ("pc", "em"):
        assert sample.run(run, name, 2, 0)["function_evaluations"] == {"pc": 6, "em": 3}[name]
        drawn = np.load(run / f"samples_{name}.npz")["samples"]
        assert (drawn.shape, drawn.dtype) == ((2, 32, 32, 3), np.uint8)
    facts = likelihood.run(run, 2, 0)
    assert facts["images"] == 2
    # The network still predicts no noise at all, so that the flow is x alpha(t), for which the likelihood is known.
    nats = 0.5 * np.log(2 * np.pi) + 0.5 * (0.1 + 0.5 * (20 - 0.1))
    assert facts["bits_per_dim"] == pytest.approx(nats / np.log(2) + 7, abs=0.02)


def few_images(path: Path) -> Path:
    """Four images of every class, with their labels, as an archive of their own: opening 50,000 takes longer."""
    with zipfile.ZipFile(IMAGES) as whole, zipfile.ZipFile(path, "w") as few:
        labels = json.loads(whole.read("dataset.json"))["labels"]
        kept = [pair for label in range(10) for pair in [pair for pair in labels if pair[1] == label][:4]]
        for name, _ in kept:
            few.writestr(name, whole.read(name))
        few.writestr("dataset.json", json.dumps({"labels": kept}))
    return path
