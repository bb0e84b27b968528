"""Every command of the documents runs, shrunk: one that is added without a way to run it fails."""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from unittest import mock

import huggingface_hub
import pytest

from sde_jax import cli
from tests.documents.blocks import ALL, COMMANDS, REPOSITORY, SHELL, SPANS, Command, commands

OURS = [command for command in COMMANDS if command.words[0] == "sde-jax"]
SCRIPTS = [command for command in COMMANDS if command.words[0] == "python"]
OF_OTHERS = {
    "docker": "builds and runs images: needs its daemon",
    "kubectl": "needs a cluster",
    "sbatch": "needs SLURM",
    "srun": "needs SLURM",
    "scontrol": "needs SLURM",
    "scancel": "needs SLURM",
    "gcloud": "needs an account",
    "mkdir": "makes a directory for docker",
    "sudo": "gives it to the container's user",
}
"""Programs of others that are not run, with the reason; what they are told to run of ours is read all the same."""
LEFT_OUT = {
    "--features Inception": "the published weights are not ours to have: Raw in their place",
    "fsdp=4": "needs four devices",
    "--push USER/digits": "the hub is one that accepts all",
    "--config configs/ve/cifar10_ncsnpp_continuous.py of convert": "the checkpoint at hand is of a smaller network",
}
"""What a command has that is not run as it stands, with the reason; its flags are read with it."""
LESS = {
    "run": ["--num_samples", "2"],
    "sample": ["--num_samples", "2"],
    "likelihood": ["--num_examples", "2"],
    "restore": ["--num_samples", "2", "--steps", "2"],
    "calibrate": ["--num_samples", "2", "--num_examples", "2", "--steps", "2"],
    "certify": ["--only", "order, mixture: DDIM on VP$"],
    "train-features": ["--steps", "2"],
    "tune": ["--nfe", "3", "--draws", "4", "--fine_steps", "20", "--batch_size", "8"],
    "train-classifier": ["--steps", "2", "--width", "16"],
    "evaluate": ["--num_samples", "4", "--num_examples", "2", "--config.evaluation.neighbours=0", "--cache", "cache"],
}
"""What makes a command small: a flag given again counts last."""
WRITTEN = {"train": "--workdir", "run": "--workdir", "convert": "--workdir"}
"""The flag of a command that names what it makes, where that is not --output."""
HEAVY = (
    "doctor --config",
    "fsdp",
    "on_anomaly",
    "PowerAverages",
    "preview",
    "--parts samples --features Inception",
    "runs/mine2",
)


def value(words: list[str], flag: str) -> str:
    return words[words.index(flag) + 1]


def shrunk(words: list[str], tiny: dict[str, list[str]]) -> list[str]:
    """A command that does little, in the place of one that does much."""
    name = words[1]
    words = [word for word in words if "mesh.fsdp" not in word]
    if name in ("train", "run"):
        words += tiny[Path(value(words, "--config")).stem]
        prepared = "--config.data=Prepared" in words  # which were parted when they were prepared
        words = [word for word in words if not (prepared and "held_out" in word)]
    if name == "evaluate" and "--steps" in words:
        words[words.index("--steps") + 1] = "2,3"
    if name == "evaluate" and "Inception" in words:
        words[words.index("Inception") :] = ["Raw"]
    if name == "evaluate" and "--follow" in words:
        words[words.index("--follow") + 1] = "1"
    if words[1:3] == ["data", "prepare"]:
        words.append("--config.data.held_out_per_class=2")
    if name == "convert":
        words[words.index("--config") + 1] = "official.json"
    if name == "publish" and "--push" in words:
        words[words.index("--push") + 1] = "someone/digits"
    return [*words, *LESS.get(name, ())]


def slow(command: Command) -> bool:
    return any(word in " ".join(command.words) for word in HEAVY) or command.words[1] == "run"


@pytest.mark.parametrize(
    "command", [pytest.param(c, marks=[pytest.mark.slow] * slow(c), id=str(c)) for c in dict.fromkeys(OURS)]
)
def test_a_command_runs(command, world, tiny, sde_jax, monkeypatch):
    cli.parse(list(command.words))
    words = shrunk(list(command.words), tiny)
    api = mock.create_autospec(huggingface_hub.HfApi)
    api.return_value.upload_folder.return_value.commit_url = "a commit"
    monkeypatch.setattr(huggingface_hub, "HfApi", api)
    made = WRITTEN.get(words[1], "--output")
    world(words, {value(words, made)} if made in words else set())
    outcome = sde_jax(*words[1:])
    expected = (0, 1) if words[1:3] == ["data", "inspect"] else (0,)  # 1: something about such small data is wrong
    assert outcome.code in expected, outcome.err


@pytest.mark.parametrize("command", SCRIPTS, ids=str)
def test_a_script_of_launch_does_what_it_can_without_a_cluster(command):
    """The launchers print what they would do; the command that they are to start is one of ours."""
    script, *words = command.words[1:]
    given = words[words.index("--") + 1 :] if "--" in words else []
    if given:
        assert cli.parse(["sde-jax", *given]).command == "train"
    name, shown = Path(script).stem, {"tpu_vm": "gcloud", "local": ""}
    if name == "check":  # of a node with eight GPUs
        assert runpy.run_path(str(REPOSITORY / script))["_parser"]().parse_args(words).devices == 8
        return
    words = [word.replace("REGION", "region").replace("PROJECT", "project") for word in words]
    words = {"local": ["--program", f"{sys.executable} -c pass"], "tpu_vm": ["--dry_run"]}.get(name, []) + words
    if name == "tpu_vm":
        words[:2] = words[1::-1]
    done = subprocess.run([sys.executable, script, *words], cwd=REPOSITORY, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    assert shown.get(name, "train") in done.stdout


def test_every_other_command_is_of_a_program_that_is_listed_with_a_reason():
    assert all(
        all(part in str(OURS) for part in re.findall(r"[\w/.=]+", name.split(" of ")[0])[-1:]) for name in LEFT_OUT
    )
    others = {command.words[0] for command in COMMANDS} - {"sde-jax", "python", "make"}
    assert others == OF_OTHERS.keys()
    for command in COMMANDS:
        words = list(command.words)
        if words[0] in ("docker", "srun") and "..." not in words:
            assert "train" not in words or cli.parse(["sde-jax", *words[words.index("train") :]]).command
            assert "launch/check.py" not in words or (REPOSITORY / "launch" / "check.py").exists()


def test_make_has_the_targets_and_its_command_is_the_quick_start_of_the_documents():
    makefile = (REPOSITORY / "Makefile").read_text()
    asked = {word for c in COMMANDS if c.words[0] == "make" for word in c.words[1:] if re.fullmatch(r"[a-z-]+", word)}
    assert asked == {"quickstart", "test"}
    for target in asked:
        assert re.search(rf"^{target}:", makefile, re.M)
    (line,) = re.findall(r"^\t\$\(BIN\)/(sde-jax .*)$", makefile, re.M)
    assert cli.parse(line.split()).command == "run"
    assert line in (REPOSITORY / "configs" / "digits_vp.py").read_text()


@pytest.mark.parametrize("words", [s for s in SPANS if "..." not in s and any("--" in w for w in s)], ids=" ".join)
def test_a_command_within_a_sentence_has_flags_that_there_are(words):
    assert cli.parse(words).command == words[1]


def test_every_block_is_code_that_is_run_or_output_that_is_shown():
    languages = {block.language for block in ALL}
    assert languages <= {"", "sh", "python", "indented"}
    assert sum(block.language == "" for block in ALL if block.document == "README.md") == 2  # quick start, orders
    pictures = [block for block in ALL if block.language == "indented" and block not in SHELL]
    assert {block.document for block in pictures} <= {"docs/architecture.md", "docs/results.md", "docs/notation.md"}
    assert all([*commands(block)] for block in SHELL)
