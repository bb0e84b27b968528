"""`sde-jax configs`, and experiments that cannot be."""

import json
from pathlib import Path

import pytest

CONFIGS = Path(__file__).parents[2] / "configs"
CONFIG = '''"""Digits, 8x8, on the VE SDE.

Hardware: a CPU. Published: FID 1.5,
3 bits/dim (A et al. 2020). Result: not yet run.
"""

from sde_jax.experiment import Experiment
from sde_jax.sde import VE


def get_config():
    return Experiment(sde=VE(sigma_min=0.5, sigma_max=4))
'''


@pytest.fixture
def folder(tmp_path):
    """A folder with one config, further down, and a file that is none."""
    (tmp_path / "ve").mkdir()
    (tmp_path / "ve" / "digits.py").write_text(CONFIG)
    (tmp_path / "shared.py").write_text("raise AssertionError('a file without get_config() was executed')")
    (tmp_path / "broken.py").write_text("def (")
    return tmp_path


def test_the_experiments_of_a_folder_are_listed_by_what_they_are_made_of_and_what_they_say(folder, sde_jax):
    (row,) = json.loads(sde_jax("configs", "--path", folder, "--json").done().out)
    assert row == {
        "name": "ve/digits",
        "data": "Digits",
        "size": "8x8",
        "sde": "VE(0.5, 4)",
        "network": "MLP",
        "published": "FID 1.5, 3 bits/dim (A et al. 2020)",
        "result": "not yet run",
        "hardware": "a CPU",
    }
    head, line, shown = sde_jax("configs", "--path", folder).done().out.splitlines()
    assert head.split() == ["name", "data", "size", "sde", "network", "published", "result"]
    assert set(line) == {"-"}
    assert [cell.strip() for cell in shown.split("  ") if cell] == [
        *("ve/digits", "Digits", "8x8", "VE(0.5, 4)", "MLP", "FID 1.5, 3 bits/dim", "not yet run")
    ]


def test_all_of_the_repository_is_listed(sde_jax, monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    rows = json.loads(sde_jax("configs", "--json").done().out)
    assert {row["name"] for row in rows} == {
        str(path.relative_to(CONFIGS).with_suffix("")) for path in CONFIGS.rglob("*.py")
    }
    assert all(all(value for key, value in row.items() if key != "published") for row in rows)


def test_a_config_that_makes_no_experiment_is_told_and_the_others_are_listed(folder, sde_jax):
    (folder / "odd.py").write_text("def get_config(): return {'sed': 3}")
    (folder / "fails.py").write_text("def get_config(): return 1 / 0")
    outcome = sde_jax("configs", "--path", folder)
    assert "ve/digits" in outcome.out
    assert outcome.problems == [
        f"{folder / 'fails.py'}, line 1: ZeroDivisionError: division by zero",
        f"{folder / 'odd.py'}.sed: no such setting; did you mean seed or sde?",
    ]


def test_a_folder_without_configs_is_told_in_one_line(tmp_path, sde_jax):
    for path, told in (
        (tmp_path, "no configs there; expected files that define get_config()"),
        (tmp_path / "nowhere", "no such folder; expected the configs of a checkout"),
    ):
        assert sde_jax("configs", "--path", path).problems == [f"--path={path}: {told}"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["--config.network=MPL"], "config.network = 'MPL': no such Architecture; did you mean MLP?"),
        (
            ["--config.network=NCSNpp", "--config.network.channel_multipliers=(1,1,1,1,1)"],
            "the height is 8, expected a multiple of 16",
        ),
        (
            ["--config.network=NCSNpp"],
            "attention_resolutions has [16], expected some of the levels' heights [8, 4, 2, 1]",
        ),
        (
            ["--config.objective.times=TableTimes"],
            "expected a path with a table of times, DDPM or SMLD",
        ),
    ],
)
@pytest.mark.parametrize("flags", [["--dry_run"], []], ids=["dry_run", "train"])
def test_an_experiment_that_cannot_be_is_told_before_a_mesh_or_a_run_is_made(
    changes, told, flags, tmp_path, sde_jax, monkeypatch
):
    def made(*_):
        raise AssertionError("a mesh was made")

    monkeypatch.setattr("sde_jax.training.MeshShape.over", made)
    digits = [f"--config={CONFIGS / 'digits_vp.py'}", "--workdir", tmp_path / "run"]
    (line,) = sde_jax("train", *digits, *changes, *flags).problems
    assert told in line
    assert not (tmp_path / "run").exists()
