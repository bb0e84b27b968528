import json

import numpy as np
import pytest

from sde_jax.commands.evaluate import results
from sde_jax.commands.workdir import Workdir


def test_a_report_can_be_written_as_soon_as_there_is_a_run(run, sde_jax):
    outcome = sde_jax("report", "--workdir", run).done()
    assert outcome.out.strip() == str((run / "report.html").absolute())
    page = (run / "report.html").read_text()
    assert "<h1" in page
    assert "beta_max" in page
    assert "jaxlib" in page


def test_a_report_goes_where_it_is_told(run, tmp_path, monkeypatch, sde_jax):
    monkeypatch.chdir(tmp_path)
    sde_jax("report", "--workdir", run.name, "--output", "pages/a.html").done()
    assert (tmp_path / "pages" / "a.html").is_file()
    assert not (run / "report.html").exists()


def test_a_damaged_file_of_numbers_is_named(run, sde_jax):
    (run / "likelihood.json").write_text('{"bits')
    (line,) = sde_jax("report", "--workdir", run).problems
    assert line.startswith(f"{run / 'likelihood.json'}: damaged (")
    assert line.endswith("remove it")


@pytest.fixture
def evaluated(run):
    """A run with results of an evaluation, as `evaluate` leaves them."""
    basis = {"features": "raw", "protocol": "as they are", "comparable": False, "reference_split": "train"}
    rows = [
        results.Row(12, "samples", "fid", 3.5, 64, 0, sampler="pc", steps=4, evaluations=8.0, **basis),
        results.Row(
            12,
            "samples",
            "copies",
            0.25,
            64,
            0,
            standard_error=0.05,
            sampler="pc",
            details={"median_ratio": 0.9},
            settings={"metric": {"type": "Memorisation", "threshold": 1 / 3}},
            warnings=("few samples",),
        ),
    ]
    images = np.random.default_rng(0).integers(0, 17, (3, 8, 8, 1), np.uint8)
    arrays = {"samples": images, "neighbours": images[:2, None], "neighbour_distance": np.array([[2.0], [0.0]])}
    np.savez(run / "evaluated.npz", **arrays)
    files = [results.File("evaluated.npz", "samples", 12, sampler="pc", steps=4)]
    results.write(Workdir(run), results.Results(rows, files))
    return run


def test_what_was_evaluated_is_in_the_report(evaluated, sde_jax):
    sde_jax("report", "--workdir", evaluated).done()
    page = (evaluated / "report.html").read_text()
    assert "64 samples, 8 calls a sample; not comparable with published FIDs" in page
    assert "few samples" in page
    assert "25 ± 5% of 64 samples are copies" in page
    assert page.index("distance 0<") < page.index("distance 2<")


def test_passes_and_the_variational_bound_are_in_the_report(run, sde_jax):
    np.savez(run / "likelihood.npz", bits_per_dim=[3.0, 4.0], log_snr=[0.0, 1.0], noise_level_loss=[1.0, 1.0])
    facts = {"bits_per_dim": 3.5, "function_evaluations": 9.0, "passes": 3, "elbo_bits_per_dim": 3.75}
    (run / "likelihood.json").write_text(json.dumps(facts))
    sde_jax("report", "--workdir", run).done()
    page = (run / "report.html").read_text()
    assert "3 for each example" in page
    assert "variational bound, mean 3.75" in page


def test_vectors_are_shown_as_points_whether_or_not_their_data_are_here(run, sde_jax):
    config = json.loads((run / "config.json").read_text())
    config |= {"shape": [2], "levels": None}
    config["experiment"]["data"] = {"type": "ArrayFile", "path": "gone.npy"}
    (run / "config.json").write_text(json.dumps(config))
    np.savez(run / "samples_pc.npz", samples=np.random.default_rng(0).normal(size=(20, 2)).astype(np.float32))
    sde_jax("report", "--workdir", run).done()
    page = (run / "report.html").read_text()
    assert "sampler pc: 20 samples in the plane" in page
    assert 'id="samples"' not in page


def test_a_damaged_file_of_arrays_is_named(run, sde_jax):
    (run / "likelihood.npz").write_bytes(b"PK\x03\x04nothing")
    (line,) = sde_jax("report", "--workdir", run).problems
    assert line.startswith(f"{run / 'likelihood.npz'}: damaged (")
