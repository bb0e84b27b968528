"""Whatever became of the files beside a run, `report` says what is wrong with which in a line, or passes it over."""

import json
import os

import numpy as np
import pytest

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


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", None])
def test_damaged_arrays_and_pictures_are_named(content, run, sde_jax):
    path = run / "likelihood.npz"
    if content is None:
        np.savez(path, bits_per_dim=np.array(["a"]), log_snr=np.zeros(3), noise_level_loss=np.zeros(3))
    else:
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
