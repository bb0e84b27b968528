"""What the commands of the documents read, made small."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPOSITORY, TINY, Golden, invoke

MLP = ["--config.network=MLP", "--config.network.width=16", "--config.network.depth=1"]
SHORT = [
    "--config.training.steps=2",
    "--config.training.batch_size=4",
    "--config.training.log_every=1",
    "--config.training.optimizer.warmup=0",
]
SAMPLERS = ["pc.steps=3", "ode.solver.tolerance.rtol=0.1", "ode.solver.tolerance.atol=0.1"]


def images(path: Path) -> Path:
    """Twelve images of 8 x 8, in two classes."""
    rng = np.random.default_rng(0)
    path.mkdir()
    for i in range(12):
        Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(path / f"{i:02}.png")
    labels = {"labels": [[f"{i:02}.png", i % 2] for i in range(12)]}
    (path / "dataset.json").write_text(json.dumps(labels))
    return path


@pytest.fixture(scope="session")
def made(trained, averaged, once) -> Callable[[str], Path]:
    """What a document calls by a name, made once and not to be changed: a run, a data set, a directory of a model."""
    root = once("made", lambda folder: folder)
    there: dict[str, Path] = {}

    def run_of(config: str, *settings: str) -> Path:
        path = root / config
        arguments = ["train", "--config", REPOSITORY / "configs" / f"{config}.py", "--workdir", path, *settings]
        assert invoke(*arguments, *SHORT) == 0
        return path

    def classes() -> Path:
        small = ["--config.network.width=16", "--config.network.depth=1", "--config.samplers.dpm.steps=3"]
        return run_of("digits_class_vp", *small)

    def coloured() -> Path:
        # Untrained, a network that predicts v stands for data of N(0, 1), one that predicts epsilon for unbounded data.
        settings = ["--config.data.held_out_per_class=2", "--config.objective.parameterization=V"]
        return run_of("cifar10_ddpmpp_vp", f"--config.data.path={made('images.zip')}", *settings, *MLP)

    def zipped() -> Path:
        return Path(shutil.make_archive(str(root / "images"), "zip", images(root / "images")))

    def features() -> Path:
        assert invoke("train-features", "--workdir", trained, "--output", root / "features", "--steps", 2) == 0
        return root / "features"

    def classifier() -> Path:
        arguments = ["--workdir", trained, "--output", root / "classifier", "--steps", 2, "--width", 16]
        assert invoke("train-classifier", *arguments) == 0
        return root / "classifier"

    def prepared() -> Path:
        held_out = "--config.data.held_out_per_class=2"
        assert invoke("data", "prepare", made("images.zip"), "--output", root / "prepared", held_out) == 0
        return root / "prepared"

    def grey(name: str, side: int, high: int = 2) -> Path:
        pixels = np.random.default_rng(1).integers(0, high, (side, side), np.uint8) * (255 if high == 2 else 1)
        Image.fromarray(pixels).save(root / name)
        return root / name

    def sensors() -> Path:
        (root / "sensors.csv").write_text("1,2,3\n4,5,16\n")
        return root / "sensors.csv"

    def official() -> Path:
        return shutil.copy(Golden() / "official_layout_ckpt_ncsnpp_ve.pth", root / "checkpoint_24.pth")

    def official_config() -> Path:
        values = str(np.load(Golden() / "net_ncsnpp_ve.npz")["config_json"])
        (root / "official.json").write_text(values)
        return root / "official.json"

    makers: dict[str, Callable[[], Path]] = {
        **dict.fromkeys(("runs/digits", "runs/other", "runs/mine", "runs/theirs", "runs/quickstart"), lambda: trained),
        "runs/a": lambda: averaged,
        "runs/classes": classes,
        "runs/cifar10": coloured,
        "images.zip": zipped,
        "prepared": prepared,
        "features": features,
        "classifier": classifier,
        "digit.png": lambda: grey("digit.png", 8, 17),
        "mask.png": lambda: grey("mask.png", 8),
        "small.png": lambda: grey("small.png", 4, 17),
        "grey.png": lambda: grey("grey.png", 8, 256),
        "sensors.csv": sensors,
        "checkpoint_24.pth": official,
        "official.json": official_config,
    }

    def made(name: str) -> Path:
        if name not in there:
            there[name] = once(f"made/{name}", lambda _: makers[name]())
        return there[name]

    made.names = frozenset(makers)  # type: ignore[attr-defined]
    return made


@pytest.fixture
def world(made, tmp_path, monkeypatch) -> Callable[[list[str], set[str]], Path]:
    """Make the directory that a command runs in, with what it reads; what it writes is left out of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "configs").symlink_to(REPOSITORY / "configs")

    def place(words: list[str], written: set[str]) -> Path:
        for word in words:
            name = word.split("=")[-1]
            if name in made.names and name not in written and not (tmp_path / name).exists():
                (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
                source = made(name)
                (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
        return tmp_path

    return place


@pytest.fixture(scope="session")
def tiny() -> dict[str, list[str]]:
    """How a training of a config is shrunk, by the config's name."""
    coloured = [*MLP, *SHORT]
    held_out = "--config.data.held_out_per_class=2"
    samplers = [f"--config.samplers.{setting}" for setting in SAMPLERS]
    small = ["--config.network.width=16", "--config.network.depth=1"]
    return {
        "digits_vp": TINY[1:],
        "digits_class_vp": [*small, *SHORT, *samplers],
        "cifar10_ddpmpp_vp": [held_out, *coloured],
        "cifar10_ddpmpp_continuous": ["--config.data.path=images.zip", held_out, *coloured],
    }
