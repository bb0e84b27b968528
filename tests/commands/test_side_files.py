"""Whatever became of the files beside a run, `report` says what is wrong with which in a line, or passes it over."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from sde_jax.commands.outcome import LIKELIHOOD, Outcome
from sde_jax.commands.workdir import Workdir

LONG = "9" * 400
DAMAGED = {
    "likelihood.json": [
        *("[1, 2]", '{"bits', "[" * 100_000, '"text"', '{"function_evaluations": {"a": 1}}'),
        *(f'{{"bits_per_dim": {value}}}' for value in ('"low"', "1e999", "NaN", LONG)),
    ],
    "samples_pc.json": ["[]]", '{"function_evaluations": true}', "3"],
    "baseline.json": ['{"baseline_bits_per_dim": [1]}'],
}
ROWS = [
    *('{"step": 12, "loss": 0.5', '{"step": "12", "loss": 1}', '{"step": 1e400}', '{"step": -1}', "[" * 50_000, "null"),
    *('{"step": 11, "loss": [[1]], "wall_seconds": {}}', f'{{"step": 13, "loss": {LONG}}}', "\x1b[2J"),
]
FILES = ["config.json", "likelihood.json", "likelihood.npz", "metrics.jsonl", "evaluation.json"]


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in DAMAGED.items() for text in texts])
def test_a_damaged_file_of_numbers_is_named(name, text, run, tmp_path, sde_jax):
    (run / name).write_text(text)
    for command in (["report"], ["publish", "--output", tmp_path / "published"]):
        (line,) = sde_jax(*command, "--workdir", run).problems
        assert line.startswith(f"{run / name}: ")
        assert len(line) < 600


def test_rows_that_are_none_are_passed_over(run, sde_jax):
    with (run / "metrics.jsonl").open("a") as file:
        file.write("\n".join(ROWS) + "\n")
    with (run / "history.jsonl").open("a") as file:
        file.write('{"event": 3, "time": "now", "step": 1}\n{"event": "start"}\n{"event"')
    sde_jax("report", "--workdir", run).done()


def likelihood_of(run: Path, **changed: np.ndarray) -> None:
    np.savez(run / "likelihood.npz", **{name: np.zeros(3) for name in LIKELIHOOD} | changed)


@pytest.mark.parametrize("values", [np.array(["a"]), np.zeros((3, 3)), np.array([0.0, np.nan]), np.zeros(0)], ids=repr)
@pytest.mark.parametrize("name", ["likelihood.npz", "baseline.npz"])
def test_arrays_that_are_no_vectors_of_numbers_are_told_with_their_file(name, values, run, sde_jax):
    likelihood_of(run)
    if name == "likelihood.npz":
        likelihood_of(run, bits_per_dim=values)
    else:
        np.savez(run / name, bits_per_dim=values)
    (problem,) = sde_jax("report", "--workdir", run).problems
    assert problem.startswith(f"{run / name}: ")
    assert "bits_per_dim" in problem


def test_bits_of_an_evaluation_alone_are_compared(run, tmp_path, sde_jax):
    evaluated = sde_jax(
        "evaluate",
        "--workdir",
        run,
        "--parts=likelihood",
        "--num_examples=2",
    )
    evaluated.done()
    assert not (run / "likelihood.npz").exists()
    bits, index = Outcome(Workdir(run)).bits
    assert bits.shape == index.shape == (2,)
    assert np.all(np.isfinite(bits))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip"])
def test_damaged_arrays_and_pictures_are_named(content, run, sde_jax):
    path = run / "likelihood.npz"
    path.write_bytes(content)
    assert sde_jax("report", "--workdir", run).problems[0].startswith(f"{path}: ")
    path.unlink()
    (run / "restored_inpaint.png").write_bytes(content or b"\x89PNG")
    assert sde_jax("report", "--workdir", run).problems[0].startswith(f"{run / 'restored_inpaint.png'}: damaged")


@pytest.mark.parametrize(
    "name", ["config.json", "likelihood.json", "likelihood.npz", "metrics.jsonl", "evaluation.json"]
)
def test_a_pipe_or_a_directory_for_a_file_is_told_at_once(name, run, sde_jax):
    (run / name).unlink(missing_ok=True)
    os.mkfifo(run / name)
    (line,) = sde_jax("report", "--workdir", run).problems
    assert line == f"{run / name}: a pipe; expected an ordinary file"
    (run / name).unlink()
    (run / name).mkdir()
    (line,) = sde_jax("report", "--workdir", run).problems
    assert line == f"{run / name}: a directory; expected an ordinary file"


def test_a_report_of_odd_but_sound_files_is_made_or_told(run, sde_jax):
    (run / "likelihood.json").write_text(json.dumps({"bits_per_dim": 1.0, "checkpoint_step": 12}))
    np.savez(run / "likelihood.npz", bits_per_dim=np.zeros((3, 3)), log_snr=np.zeros(2), noise_level_loss=np.zeros(5))
    outcome = sde_jax("report", "--workdir", run)
    assert outcome.code in (0, 2)
    assert len(outcome.err.splitlines()) == (outcome.code == 2)
