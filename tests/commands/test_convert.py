import dataclasses
import json
import os
import pickle
import shutil
import zipfile

import jax
import numpy as np
import pytest
from PIL import Image

from sde_jax.checkpoints import (
    Weights,
    flatten,
    load_edm,
    official_model,
    official_weights,
    read_checkpoint,
    read_official,
    write_safetensors,
)
from sde_jax.checkpoints.edm_table import table
from sde_jax.commands.convert import _without_ramp, edm_experiment, train_state
from sde_jax.commands.official_experiment import official_experiment
from sde_jax.commands.workdir import Workdir, load
from sde_jax.nn import NCSNpp, abstract
from sde_jax.sde import EDMPath
from sde_jax.training import Adam, PowerAverages

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
    model = load(Workdir(tmp_path / "run"))
    official = official_model(json.loads(config.read_text()))
    weights = official_weights(read_official(golden / CHECKPOINT), official.network, official.shape, CHECKPOINT)
    jax.tree.map(np.testing.assert_array_equal, model.params, weights.averages)
    (line,) = sde_jax("convert", *arguments).problems
    assert line == f"{tmp_path / 'run'}: holds a run already; choose another --workdir"


def test_training_goes_on_where_the_official_adam_stopped(golden, config):
    content = read_checkpoint(golden / CHECKPOINT)
    official = official_model(json.loads(config.read_text()))
    weights = official_weights(read_official(golden / CHECKPOINT), official.network, official.shape, CHECKPOINT)
    rate, adam = 1e-3, Adam(learning_rate=1e-3, warmup=0, clip=0.0)
    training = dataclasses.replace(edm_experiment().training, optimizer=adam)
    experiment = dataclasses.replace(edm_experiment(), network=official.network, training=training)
    state = train_state(weights, experiment)
    gradient = jax.tree.map(np.ones_like, weights.params)
    updates, _ = adam.transformation().update(gradient, state.optimizer, state.params)
    # Kingma & Ba 2015, algorithm 1, of what the file says of its second array: PyTorch numbers the frozen first one too
    slot = content["optimizer"]["state"][1]
    t = int(slot["step"]) + 1
    mean = (0.9 * slot["exp_avg"] + 0.1) / (1 - 0.9**t)
    square = (0.999 * slot["exp_avg_sq"] + 0.001) / (1 - 0.999**t)
    np.testing.assert_allclose(updates["embedding_in"]["kernel"], (-rate * mean / (square**0.5 + 1e-8)).T, rtol=1e-5)


def test_a_warm_up_goes_on_at_the_rate_that_the_official_code_would_have(golden, config):
    values = {**json.loads(config.read_text()), "optim.warmup": 24, "optim.lr": 1e-3, "optim.grad_clip": -1.0}
    official, experiment = official_model(values), official_experiment(values)
    weights = official_weights(read_official(golden / CHECKPOINT), official.network, official.shape, CHECKPOINT)
    state = train_state(weights, experiment)
    gradient = jax.tree.map(np.ones_like, weights.params)
    sizes = {}
    for warmup in (24, 0):
        adam = dataclasses.replace(experiment.training.optimizer, warmup=warmup).transformation()
        sizes[warmup] = adam.update(gradient, state.optimizer, state.params)[0]["embedding_in"]["kernel"]
    np.testing.assert_allclose(sizes[24], sizes[0] * 6 / 24, rtol=1e-6)  # six steps were done, whose rates were 0 ... 5


@pytest.mark.parametrize(("chosen", "ramp"), [({}, False), ({"training.average.decay": "0.5"}, True)])
def test_the_average_of_the_official_jax_code_goes_on_without_a_ramp(chosen, ramp, golden, config):
    experiment = official_experiment(json.loads(config.read_text()))
    assert experiment.training.average.ramp  # as in their PyTorch code
    assert _without_ramp(experiment, chosen).training.average.ramp == ramp


def test_every_average_starts_from_the_one_of_the_weights():
    weights, average = Weights({"w": np.zeros(2)}, {"w": np.ones(2)}, step=5), PowerAverages((0.05, 0.1))
    training = dataclasses.replace(edm_experiment().training, average=average)
    state = train_state(weights, dataclasses.replace(edm_experiment(), training=training))
    assert state.params["w"].tolist() == [0, 0]
    assert [tree["w"].tolist() for tree in state.averages] == [[1, 1], [1, 1]]


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


class Canary:
    """What runs a command where its pickle is executed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False], ids=["as by torch.save", "bare"])
def test_a_checkpoint_with_code_in_it_runs_nothing_and_writes_nothing(config, tmp_path, sde_jax, zipped):
    canary, checkpoint = tmp_path / "canary", tmp_path / "hostile.pth"
    pickled = pickle.dumps({"model": Canary(canary), "step": 1}, protocol=2)
    if zipped:
        with zipfile.ZipFile(checkpoint, "w") as archive:
            archive.writestr("archive/data.pkl", pickled)
    else:
        checkpoint.write_bytes(pickled)
    arguments = ("--checkpoint", checkpoint, "--config", config, "--workdir", tmp_path / "run")
    (line,) = sde_jax("convert", *arguments).problems
    assert "system" in line if zipped else "is not executed" in line
    assert not canary.exists()
    assert not (tmp_path / "run").exists()
    pickle.loads(pickled)
    assert canary.exists()  # Python's own reader would have run it


def test_a_published_model_becomes_a_run_again(run, tmp_path, sde_jax):
    published, again = tmp_path / "model", tmp_path / "again"
    sde_jax("publish", "--workdir", run, "--output", published).done()
    change = "--config.samplers.pc.steps=3"
    sde_jax("convert", "--checkpoint", published, "--workdir", again, change).done()
    before, after = (load(Workdir(directory)) for directory in (run, again))
    assert after.step == before.step
    assert after.samplers["pc"].steps == 3
    jax.tree.map(np.testing.assert_array_equal, before.params, after.params)
    (line, *_) = sde_jax("convert", "--checkpoint", published, "--workdir", tmp_path / "b", "--config.sed=VE").problems
    assert "no such setting" in line
    assert not (tmp_path / "b").exists()
    wider = "--config.network.width=24"
    (line,) = sde_jax("convert", "--checkpoint", published, "--workdir", tmp_path / "b", wider).problems
    assert "not the weights of this network" in line
    assert not (tmp_path / "b").exists()


def edm_state():
    """A state dict of a network of EDM, for images of 8 x 8 x 3."""
    like = flatten(abstract(NCSNpp(8, (1,), 1, (8,)), (8, 8, 3))[1])
    random = np.random.default_rng(0)
    return {
        f"model.{name}": random.normal(size=shape).astype(np.float32)
        for row in table(1, 1, 8)
        if row.ours in like
        for name, shape in zip(row.theirs, row.rule.theirs(like[row.ours].shape), strict=True)
    }


def test_a_state_dict_of_edm_says_itself_what_it_is(tmp_path, sde_jax):
    write_safetensors(tmp_path / "edm.safetensors", edm_state(), {})
    arguments = ("convert", "--checkpoint", tmp_path / "edm.safetensors", "--workdir", tmp_path / "run")
    facts = json.loads(sde_jax(*arguments, "--config.data.path=mine.zip", "--json").done().out)
    assert facts["network"] == "NCSNpp"
    assert facts["shape"] == [8, 8, 3]
    model = load(Workdir(tmp_path / "run"))
    assert isinstance(model.sde, EDMPath)
    assert model.record.experiment.data.path == "mine.zip"
    _, _, denoise = load_edm(tmp_path / "edm.safetensors")
    x = jax.random.normal(jax.random.key(0), (8, 8, 3))
    np.testing.assert_allclose(model.denoise(x, 0.01), denoise(x, 0.01), rtol=1e-5, atol=1e-5)


def test_weights_that_say_nothing_of_their_network_need_a_config(golden, tmp_path, sde_jax):
    arguments = ("convert", "--checkpoint", golden / CHECKPOINT, "--workdir", tmp_path / "run")
    assert "expected --config" in sde_jax(*arguments).problems[0]


def test_what_says_itself_what_it_is_takes_no_config_and_no_shape(run, config, tmp_path, sde_jax):
    published, weights, out = tmp_path / "model", tmp_path / "edm.safetensors", tmp_path / "out"
    sde_jax("publish", "--workdir", run, "--output", published).done()
    write_safetensors(weights, edm_state(), {})
    flags = ("--config", config, "--shape", "16,16,3")
    (line,) = sde_jax("convert", "--checkpoint", published, "--workdir", out, *flags).problems
    assert "expected no --config and no --shape" in line
    (line,) = sde_jax("convert", "--checkpoint", weights, "--workdir", out, *flags[2:]).problems
    assert "expected no --shape" in line
    wider = "--config.network.features=16"
    (line,) = sde_jax("convert", "--checkpoint", weights, "--workdir", out, wider).problems
    assert "not the weights of this network" in line
    assert not out.exists()


def test_without_data_the_shape_is_asked_for(golden, tmp_path, sde_jax):
    arguments = ("--config", "configs/ve/cifar10_ncsnpp_continuous.py", "--workdir", tmp_path / "run")
    (line,) = sde_jax("convert", "--checkpoint", golden / CHECKPOINT, *arguments).problems
    assert "cifar10.zip is no folder" in line
    assert line.endswith("or say the shape of an image, as --shape 32,32,3")


@pytest.mark.parametrize("change", [{"optim.warmup": "long"}, {"training.n_iters": None}, {"model.ema_rate": [0.9]}])
def test_an_official_setting_of_another_type_is_named_with_its_file(golden, config, tmp_path, sde_jax, change):
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    arguments = ("--config", other, "--workdir", tmp_path / "run")
    (line,) = sde_jax("convert", "--checkpoint", golden / CHECKPOINT, *arguments).problems
    assert line.startswith(f"{other}: config.{next(iter(change))} = ")
    assert not (tmp_path / "run").exists()
