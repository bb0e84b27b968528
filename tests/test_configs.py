"""The experiments in configs/; those of Song et al. 2021 are in its folders, under the official code's names."""

import ast
import io
import json
import math
import re
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from sde_jax import nn
from sde_jax.codec import decode
from sde_jax.commands import likelihood, sample, train
from sde_jax.commands.configs import experiment_of
from sde_jax.commands.settings import resolve
from sde_jax.experiment import Experiment
from sde_jax.ode import Tolerance
from sde_jax.prediction import Deviation, ScaledTime, TableLabel
from sde_jax.sampling import OfficialGrid
from sde_jax.sde import SMLD, VE, Tabulated

REPOSITORY = Path(__file__).parents[1]
CONFIGS = sorted((REPOSITORY / "configs").rglob("*.py"))
PAPER = [path for path in CONFIGS if path.parent.name != "configs"]
IMAGES = REPOSITORY.parent / "shared" / "data" / "cifar10-jpeg-train.zip"


def name_of(path: Path) -> str:
    return path.relative_to(REPOSITORY / "configs").with_suffix("").as_posix()


def header_of(path: Path) -> str:
    return ast.get_docstring(ast.parse(path.read_text())) or ""


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_a_config_resolves_and_comes_back_from_its_json(path):
    experiment = resolve(str(path), {})
    assert Experiment.from_json(json.loads(json.dumps(experiment.to_json()))) == experiment


@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_a_config_opens_with_its_command_its_hardware_and_its_result(path):
    header = header_of(path)
    command = re.search(r"sde-jax (?:train|run) --config (\S+) --workdir runs/", header)
    assert command is not None
    assert command.group(1) == f"configs/{name_of(path)}.py"
    assert "Hardware: " in header
    assert "Result: " in header
    assert "Published: " in header or path not in PAPER
    assert shape_of(path)


def test_no_two_configs_propose_the_same_directory():
    directories = [re.findall(r"--workdir (runs/\S+)", header_of(path))[0] for path in CONFIGS]
    assert len(set(directories)) == len(directories)


def shape_of(path: Path) -> tuple[int, int, int]:
    """The shape of a config's images, as its header says."""
    height, width = map(int, re.findall(r"\b(\d+)x(\d+)\b", header_of(path))[0])
    return height, width, 1 if path.stem == "digits_vp" else 3


@pytest.mark.slow
@pytest.mark.parametrize("path", CONFIGS, ids=name_of)
def test_a_configs_network_fits_its_images_and_has_as_many_parameters_as_the_official_one(path, golden):
    _, params = nn.abstract(experiment_of(path).network, shape_of(path))
    counts = json.loads((golden / "param_counts.json").read_text())
    if name_of(path) in counts:
        assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)) == counts[name_of(path)]["params"]


@pytest.mark.parametrize("path", PAPER, ids=name_of)
def test_the_parts_of_an_experiment_speak_of_the_same_noise_levels(path):
    experiment = experiment_of(path)
    sde, network, label = experiment.sde, experiment.network, experiment.objective.parameterization.label
    discrete = isinstance(sde, Tabulated)
    assert isinstance(label, TableLabel) == discrete
    assert type(experiment.objective.times).__name__ == ("TableTimes" if discrete else "Uniform")
    assert experiment.data_range == ((0.0, 1.0) if isinstance(sde, VE) else (-1.0, 1.0))
    assert network.centered == (not isinstance(sde, VE))
    if not discrete:
        assert label == (Deviation() if isinstance(sde, VE) else ScaledTime(999.0))
    if isinstance(network, nn.NCSN):
        assert network.classes == sde.steps
    elif isinstance(sde, SMLD):
        np.testing.assert_allclose(network.scale.levels[::-1], sde.sigmas(), rtol=1e-4)
    else:
        assert network.scale == (nn.BySigma() if isinstance(sde, VE) else nn.Unscaled())


@pytest.mark.parametrize("path", PAPER, ids=name_of)
def test_an_experiments_samplers_run_down_its_own_noise_levels_to_the_official_times(path):
    experiment = experiment_of(path)
    sde, sampler = experiment.sde, experiment.samplers["pc"]
    grid = sampler.grid(sde)
    np.testing.assert_allclose(grid[[0, -2, -1]], [1.0, 1e-5 if isinstance(sde, VE) else 1e-3, 0.0])
    assert isinstance(sampler.spacing, OfficialGrid)
    assert sampler.solver.noise_free
    for part in (sampler.solver.predictor, sampler.solver.corrector):
        discretization = getattr(part, "discretization", None)
        chain = getattr(part, "chain", getattr(discretization, "chain", None))
        if chain is not None:
            assert chain == (sde if isinstance(sde, Tabulated) else SMLD(sde.sigma_min, sde.sigma_max, sampler.steps))
        elif discretization is not None:
            assert discretization.steps == sampler.steps
    assert ("ode" in experiment.samplers) == (not isinstance(sde, Tabulated))
    assert (experiment.likelihood.start, experiment.likelihood.passes) == (1e-5, 5)
    assert experiment.likelihood.tolerance == Tolerance(1e-5, 1e-5)


UNET = {
    "network.channel_multipliers": "(1, 2)",
    "network.blocks_per_level": "1",
    "network.attention_resolutions": "(8,)",
    "network.features": "8",
}
REFINE = {"network.features": "4"}
DDPM = UNET | {"network.normalization.groups": "4"}
LEAST = UNET | {"network.channel_multipliers": "(1,)", "network.attention_resolutions": "()"}
KINDS = {
    "vp/ddpm/cifar10": (DDPM | LEAST, 2),
    "ve/ncsn/cifar10": (REFINE | {"samplers.pc.solver.corrector.steps": "2"}, 4),
    "ve/ncsnv2/cifar10": (REFINE, 10),
    "ve/ncsnv2/bedroom": (REFINE, 6),
    "vp/cifar10_ddpmpp_continuous": (UNET, 2),
    "ve/church_ncsnpp_continuous": (UNET, 4),
    "ve/cifar10_ncsnpp_continuous": (LEAST, 4),
    "ve/cifar10_ncsnpp": (UNET, 4),
    "ve/cifar10_ddpm": (DDPM, 4),
    "vp/cifar10_ncsnpp": (UNET, 2),
    "vp/ddpm/cifar10_continuous": (DDPM, 2),
    "vp/ddpm/cifar10_unconditional": (DDPM, 2),
    "subvp/cifar10_ncsnpp_continuous": (UNET, 2),
}
"""One of every kind: what shrinks it, and the evaluations of two steps of its sampler."""


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_an_experiment_shrunk_trains_and_samples_on_a_cpu(name, tmp_path):
    smaller, evaluations = KINDS[name]
    steps = {"training.steps": "1", "training.batch_size": "2", "samplers.pc.steps": "2"}
    # A new U-Net's output is next to nothing, and a Langevin step as long as the noise is larger than the score.
    steps |= {"training.optimizer.learning_rate": "0.01", "training.optimizer.warmup": "0"}
    data = {"data.path": str(noise_images(tmp_path / "images.zip")), "data.held_out_per_class": "1"}
    experiment = resolve(str(REPOSITORY / "configs" / f"{name}.py"), smaller | steps | data)
    run = tmp_path / "run"
    assert train.run(experiment, run) == 0
    assert math.isfinite(json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["loss"])
    assert sample.run(run, "pc", 2, 0)["function_evaluations"] == evaluations
    drawn = np.load(run / "samples_pc.npz")["samples"]
    assert (drawn.shape, drawn.dtype) == ((2, 16, 16, 3), np.uint8)


def test_components_of_a_network_are_changed_by_dotted_text():
    path = str(REPOSITORY / "configs" / "vp" / "cifar10_ddpmpp_continuous.py")
    changes = {"network.embedding": "Fourier", "network.resampling": "FIR", "network.resampling.kernel": "(1, 2, 1)"}
    before, after = resolve(path, {}).network, resolve(path, changes).network
    assert (before.embedding, before.resampling) == (nn.Positional(), nn.Box())
    assert (after.embedding, after.resampling) == (nn.Fourier(), nn.FIR(kernel=(1, 2, 1)))
    deeper, problems = decode(nn.NCSNpp, {"input_pyramid": {"type": "InputSkip", "combination": "Concatenate"}})
    assert (deeper.input_pyramid, problems) == (nn.InputSkip(nn.Concatenate()), [])


def noise_images(path: Path) -> Path:
    """Four images of 16 x 16 of noise, without labels, as an archive."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), np.uint8)
    with zipfile.ZipFile(path, "w") as archive:
        for n, image in enumerate(pixels):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG")
            archive.writestr(f"{n}.png", buffer.getvalue())
    return path


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
