"""A run on eight virtual devices, in one process of its own, beside the same on one device in this."""

import json
import os
import shutil
import subprocess
import sys

import jax
import numpy as np
import pytest

from sde_jax.commands import restoration, sample, train
from sde_jax.commands.settings import resolve
from sde_jax.commands.workdir import Workdir
from sde_jax.metrics import Gaussian, frechet_distance

pytestmark = pytest.mark.slow
PROGRAM = """
import sys
from pathlib import Path
import jax
from sde_jax import cli
from sde_jax.commands import evaluate, restoration, sample, train
from sde_jax.commands.settings import resolve

assert jax.device_count() == 8
folder, config, *overrides = sys.argv[1:]
changes = dict(override.split("=") for override in overrides)
assert train.run(resolve(config, changes), Path(folder)) == 0
sample.run(Path(folder), "pc", 3, 1)
restoration.restore.run(Path(folder), restoration.Request("superres", steps=4, num_samples=3), example=1)
settings = {"evaluation.num_samples": 21, "evaluation.batch_size": 8, "evaluation.round_size": 8}
request = evaluate.Request(("samples",), metrics=("frechet",), cache=Path(folder) / "cache", overrides=settings)
evaluate.run(Path(folder), request)
sys.argv = ["sde-jax", "train", f"--config={config}", f"--workdir={folder}", "--config.training.batch_size=12"]
print("HERE", file=sys.stderr)
cli.main()
"""


@pytest.fixture(scope="module")
def both(trained, tmp_path_factory, sde_jax_tiny):
    """The directories of a run that went on for two steps and was sampled on one and on eight devices, of which pairs
    share the state, and the outcome of a command with a batch of twelve on eight."""
    one, eight = (shutil.copytree(trained, tmp_path_factory.mktemp("runs") / name) for name in ("one", "eight"))
    config, *overrides = [argument.removeprefix("--config").lstrip(".=") for argument in sde_jax_tiny]
    overrides.append("training.steps=14")
    assert train.run(resolve(config, dict(override.split("=") for override in overrides)), one) == 0
    sample.run(one, "pc", 3, 1)
    restoration.restore.run(one, restoration.Request("superres", steps=4, num_samples=3), example=1)
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", PROGRAM, str(eight), config, *overrides, "training.mesh.fsdp=2"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert result.returncode == 2, result.stderr
    return one, eight, result.stderr.partition("HERE\n")[2]


def test_a_run_goes_on_with_another_number_of_devices(both, state_of):
    one, eight = (state_of(folder) for folder in both[:2])
    assert int(one.step) == int(eight.step) == 14
    for a, b in zip(jax.tree.leaves(one.params), jax.tree.leaves(eight.params), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_samples_do_not_depend_on_the_number_of_devices(both):
    one, eight = (np.load(folder / "samples_pc.npz")["x"] for folder in both[:2])
    assert one.shape == eight.shape == (3, 8, 8, 1)
    np.testing.assert_allclose(one, eight, atol=1e-3)


def test_posterior_samples_do_not_depend_on_the_number_of_devices(both):
    one, eight = (np.load(folder / "restored_superres.npz") for folder in both[:2])
    np.testing.assert_allclose(one["measurement"], eight["measurement"], atol=1e-5)
    np.testing.assert_allclose(one["members"], eight["members"], atol=1e-2)


def test_a_distance_merged_over_eight_devices_and_uneven_batches_is_that_of_a_single_pass(both):
    eight = both[1]
    (row,) = json.loads((eight / "evaluation.json").read_text())["rows"]
    train = Workdir(eight).read_record().experiment.data.open().train
    with np.load(eight / "evaluation" / "samples_14_pc_4.npz") as file:
        sets = file["samples"], np.stack([train[index]["data"] for index in range(len(train))])
    flat = [x.reshape(len(x), -1).astype(np.float64) for x in sets]
    single = [Gaussian(x.mean(0), np.cov(x, rowvar=False), len(x)) for x in flat]
    assert (row["samples"], row["reference_samples"]) == (21, 1500)
    assert row["value"] == pytest.approx(frechet_distance(*single), rel=1e-6)


def test_a_batch_that_does_not_divide_over_the_devices_is_told(both):
    assert both[2].splitlines() == [
        "sde-jax: config.training.batch_size = 12: expected a multiple of the number of devices, 8"
    ]
