import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from sde_jax.checkpoints import official_model, official_weights, read_official
from sde_jax.commands.workdir import Workdir, load
from sde_jax.training import data_mesh

CHECKPOINT = "official_layout_ckpt_ncsnpp_ve.pth"


@pytest.fixture(scope="module")
def config(golden, tmp_path_factory):
    """The official configuration of the recorded checkpoint, as a file."""
    path = tmp_path_factory.mktemp("official") / "config.json"
    path.write_text(str(np.load(golden / "net_ncsnpp_ve.npz")["config_json"]))
    return path


def test_an_official_checkpoint_becomes_a_run(golden, config, tmp_path, sde_jax):
    arguments = ("--checkpoint", golden / CHECKPOINT, "--config", config, "--workdir", tmp_path / "run")
    facts = json.loads(sde_jax("convert", *arguments, "--json").done().out)
    assert facts["step"] == 6
    assert facts["shape"] == [16, 16, 3]
    assert facts["optimizer"]
    model = load(Workdir(tmp_path / "run"), data_mesh())
    official = official_model(json.loads(config.read_text()))
    weights = official_weights(read_official(golden / CHECKPOINT), official.network, official.shape, CHECKPOINT)
    jax.tree.map(np.testing.assert_array_equal, model.params, weights.averages)
    (line,) = sde_jax("convert", *arguments).problems
    assert line == f"{tmp_path / 'run'}: holds a run already; choose another --workdir"


def colour_images(path):
    """Eight random images of 16 x 16."""
    path.mkdir()
    for i, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (8, 16, 16, 3), np.uint8)):
        Image.fromarray(pixels).save(path / f"{i}.png")
    return path


@pytest.mark.slow
def test_a_converted_run_samples_scores_and_trains_on(golden, config, tmp_path, sde_jax):
    run = tmp_path / "run"
    settings = [
        f"--config.data.path={colour_images(tmp_path / 'images')}",
        "--config.data.held_out_per_class=2",
        "--config.training.batch_size=4",
        "--config.samplers.pc.steps=3",
        "--config.likelihood.tolerance.rtol=1e-2",
        "--config.likelihood.tolerance.atol=1e-2",
        "--config.likelihood.passes=1",
    ]
    arguments = ("--config", config, "--workdir", run, *settings)
    sde_jax("convert", "--checkpoint", golden / CHECKPOINT, *arguments).done()
    sde_jax("sample", "--workdir", run, "--num_samples", "2").done()
    assert np.load(run / "samples_pc.npz")["samples"].shape == (2, 16, 16, 3)
    facts = json.loads(sde_jax("likelihood", "--workdir", run, "--num_examples", "2", "--json").done().out)
    assert np.isfinite(facts["bits_per_dim"])
    outcome = sde_jax("train", *arguments, "--config.training.steps=8").done()
    assert "continuing from step 6" in outcome.out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model.nf": 32}, "of another shape"),
        ({"model.num_res_blocks": 2}, "missing"),
        ({"model.name": "resnet"}, "expected one of ncsnpp"),
        ({"model.attn_resolutions": [5]}, "attention_resolutions"),
    ],
)
def test_weights_that_do_not_fit_write_nothing(golden, config, tmp_path, sde_jax, change, told):
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    run = tmp_path / "run"
    problems = sde_jax("convert", "--checkpoint", golden / CHECKPOINT, "--config", other, "--workdir", run).problems
    assert told in "\n".join(problems)
    assert not run.exists()


def test_a_truncated_checkpoint_writes_nothing(golden, config, tmp_path, sde_jax):
    short = tmp_path / "short.pth"
    shutil.copyfile(golden / CHECKPOINT, short)
    with short.open("r+b") as file:
        file.truncate(1_000_000)
    (line,) = sde_jax("convert", "--checkpoint", short, "--config", config, "--workdir", tmp_path / "run").problems
    assert "short.pth" in line
    assert not (tmp_path / "run").exists()
