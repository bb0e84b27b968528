"""Every block of Python in the documents runs, shrunk: a new one without names to run with fails."""

import shutil
from types import SimpleNamespace
from unittest import mock

import huggingface_hub
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax import checkpoints, publishing
from sde_jax.commands.workdir import Workdir, load
from sde_jax.tuning import Effort
from tests.documents.blocks import PYTHON

FEWER = {
    "2000)": "20)",
    "split(key, 256)": "split(key, 8)",
    "draw(key, 256, sde)": "draw(key, 8, sde)",
    "1000)": "3)",
    "width=128, depth=3": "width=8, depth=1",
    "uniform(200)": "uniform(3)",
    "times(sde, 100,": "times(sde, 4,",
    "n=4096": "n=8",
    "count=20": "count=2",
    "evaluations=(5, 8))": "evaluations=(5,), effort=EFFORT)",
    "rounds=10, jump=5": "rounds=2, jump=1",
    "drawn(key, 16,": "drawn(key, 2,",
    "grid, (32, 32, 3))": "grid, (8, 8, 3))",
}
"""What makes a block small."""


def normal(sde):
    """The denoiser of data from N(0, 1)."""
    return lambda x, t: sde.alpha(t) * x / (sde.alpha(t) ** 2 + sde.variance(t))


def names(shape: tuple[int, ...]) -> dict:
    """What the blocks take as given, of examples of a shape."""
    sde, rng = sj.VP(), np.random.default_rng(0)
    denoise, key = normal(sde), jax.random.key(0)
    pixels = jnp.asarray(rng.normal(size=shape))
    small = jnp.asarray(rng.normal(size=(shape[0] // 4, shape[1] // 4, shape[2])))
    models = dict.fromkeys(("given", "free", "model", "weaker", "first", "second"), denoise)
    of_x = {"log_prob": lambda x, t: -jnp.sum(x**2), "reward": lambda x: -jnp.sum(x**2)}
    levels = dict.fromkeys(("low", "middle", "high"), of_x["log_prob"])
    sensors = {"positions": jnp.array([[1.0, 2.0], [3.5, 3.0]]), "deviations": jnp.full((2, shape[2]), 0.05)}
    values = {"values": jnp.zeros((2, shape[2])), "readings": jnp.zeros((2, shape[2])), "low_resolution": small}
    known = {
        "image": pixels,
        "mask": jnp.arange(pixels.size).reshape(shape) % 2 == 0,
        "grey": pixels.mean(-1, keepdims=True) * jnp.ones(3),
    }
    run = {"key": key, "keys": jax.random.split(key, 2), "shape": shape, "x": pixels}
    grid = sj.grids.uniform(4)
    return {"sj": sj, "sde": sde, "denoise": denoise, "grid": grid, **models, **of_x, **levels, **sensors, **values} | {
        **known,
        **run,
    }


def learned(tmp_path, made) -> dict:
    return {}


def of_the_straight_path(tmp_path, made) -> dict:
    return {"sj": sj, "keys": jax.random.split(jax.random.key(0), 2), "denoise": normal(sj.RectifiedFlow())}


def of_measurements(tmp_path, made) -> dict:
    given = names((8, 8, 1))
    return {**given, "low_resolution": jnp.zeros((4, 4, 1))}


def of_guides(tmp_path, made) -> dict:
    return names((8, 8, 3))


def of_particles(tmp_path, made) -> dict:
    given = names((8, 8, 3))
    coarse = sj.measurement.Measurement(
        sj.measurement.MeanPool(2), jnp.zeros((4, 4, 3)), sj.measurement.Independent(1.0)
    )
    return {**given, "coarse": coarse, "stations": coarse, "reward": lambda x: -1e-3 * jnp.sum(x**2)}


def of_evidence(tmp_path, made) -> dict:
    given = names((8, 8, 3))
    return {**given, "annealed": sj.particles.FeynmanKac(given["sde"], (given["model"],), (1.5,))}


def of_edits(tmp_path, made) -> dict:
    restored = SimpleNamespace(
        samplers={"sde": sj.sampling.DDIM()},
        restore=lambda keys, sampler, degraded: SimpleNamespace(x=degraded),  # its own tests are in test_degradation.py
    )
    return {**names((8, 8, 3)), "model": restored, "degraded": jnp.zeros((2, 8, 8, 3))}


def of_official_weights(tmp_path, made) -> dict:
    for name in ("official.json", "checkpoint_24.pth"):
        shutil.copyfile(made(name), tmp_path / name)
    return {}


def of_the_hub(tmp_path, made) -> dict:
    publishing.save(tmp_path / "theirs", load(Workdir(made("runs/digits"))))
    return {}


def of_tuning(tmp_path, made) -> dict:
    effort = Effort(fitted=8, watched=8, tested=8, fine_steps=20, batch_size=8, rounds=1)
    given = names((4, 4, 1))
    return {name: given[name] for name in ("sj", "sde", "key", "keys", "denoise")} | {"EFFORT": effort}


GIVEN = {
    "make_moons": learned,
    "class ExponentialEuler": learned,
    "EulerMaruyama(churn=0.0)": of_the_straight_path,
    "coarse = Measurement(MeanPool(2)": of_measurements,
    "load_score_sde": of_official_weights,
    "publishing.pull": of_the_hub,
    "classifier_free(given, free, sde, weight=2.0)": of_guides,
    "Bicubic(4)": of_guides,
    "colourisation(grey)": of_guides,
    "sdedit(key": of_edits,
    "FeynmanKac(sde, (given, free)": of_particles,
    "log_normalizer(key, annealed": of_evidence,
    "ensembles.drawn(key, 16": of_particles,
    "from sde_jax.tuning import tune": of_tuning,
}
"""What a block is known by, and what it runs with."""


@pytest.mark.parametrize("block", PYTHON, ids=lambda block: f"{block.document}:{block.line}")
def test_a_block_runs(block, made, tmp_path, monkeypatch):
    (given,) = (names for text, names in GIVEN.items() if text in block.text)
    monkeypatch.chdir(tmp_path)
    namespace = given(tmp_path, made)
    # EDM's published weights are 220 MB of others'; the hub is a directory here.
    theirs = mock.create_autospec(checkpoints.load_edm, return_value=(sj.VP(), None, normal(sj.VP())))
    monkeypatch.setattr(checkpoints, "load_edm", theirs)
    api = mock.create_autospec(huggingface_hub.HfApi)
    api.return_value.snapshot_download.return_value = str(tmp_path / "theirs")
    monkeypatch.setattr(huggingface_hub, "HfApi", api)
    text = block.text.replace("shape=(32, 32, 3)", "shape=(8, 8, 3)").replace(
        "1e-3), (32, 32, 3))", "1e-3), (8, 8, 3))"
    )
    for whole, part in FEWER.items():
        text = text.replace(whole, part)
    exec(compile(text, f"{block.document}:{block.line}", "exec"), namespace)
    assert namespace.keys() - {"__builtins__"}


def test_no_block_goes_by_two_names():
    assert all(sum(text in block.text for text in GIVEN) == 1 for block in PYTHON)
    assert len(GIVEN) == len(PYTHON)
