import csv
from dataclasses import replace

import pytest

from sde_jax.commands.evaluate.results import File, Results, Row, read, table, write
from sde_jax.commands.workdir import Workdir
from sde_jax.errors import InputError

ROW = Row(
    checkpoint_step=12,
    part="samples",
    metric="frechet",
    value=3.5,
    samples=100,
    seed=1,
    interval=(3.0, 4.0),
    sampler="pc",
    steps=10,
    evaluations=20.0,
    features="raw",
    details={"extrapolated": 3.25},
    warnings=("few", "very few"),
)
LOSS = Row(checkpoint_step=12, part="loss", metric="loss", value=0.5, samples=297, seed=1, standard_error=0.01)
DATA = {"fingerprint": "abc", "shape": [8, 8, 1], "levels": 17}


def test_results_are_read_as_they_were_written(tmp_path):
    results = Results([LOSS, ROW], [File("a.npz", "samples", 12, sampler="pc", steps=10)], DATA)
    write(Workdir(tmp_path), results)
    assert read(Workdir(tmp_path)) == results
    assert read(Workdir(tmp_path), "other") is None


def test_every_row_of_the_table_states_its_numbers_and_what_they_are_of(tmp_path):
    write(Workdir(tmp_path), Results([LOSS, ROW], [], DATA))
    with (tmp_path / "evaluation.csv").open(newline="") as file:
        loss, row = csv.DictReader(file)
    assert (row["value"], row["interval_low"], row["interval_high"]) == ("3.5", "3.0", "4.0")
    assert (row["features"], row["samples"], row["extrapolated"]) == ("raw", "100", "3.25")
    assert row["warnings"] == "few; very few"
    assert (loss["standard_error"], loss["interval_low"], loss["extrapolated"]) == ("0.01", "", "")


def test_a_newer_row_of_the_same_replaces_and_all_others_stay_in_order():
    older = Results([ROW, LOSS], [File("a.npz", "samples", 12, sampler="pc")], {})
    more = replace(ROW, value=3.0, samples=500)
    others = [replace(ROW, checkpoint_step=4), replace(ROW, steps=5), replace(ROW, features="inception")]
    newer = older.updated([more, *others], [File("b.npz", "samples", 12, sampler="pc")], DATA)
    assert newer.rows == [others[0], LOSS, others[1], others[2], more]
    assert [file.path for file in newer.files] == ["b.npz"]
    assert newer.data == DATA


def test_a_terminal_shows_values_with_their_errors_and_each_warning_once():
    lines = table([LOSS, ROW, replace(ROW, value=None, checkpoint_step=13)]).splitlines()
    assert [line.split()[:1] for line in lines[:4]] == [["step"], ["12"], ["12"], ["13"]]
    assert lines[1].split()[-3:] == ["0.5", "0.01", "297"]
    assert "pc, 10 steps, 20 evaluations" in lines[2]
    assert "not finite" in lines[3]
    assert lines[4:] == ["frechet: few", "frechet: very few"]


@pytest.mark.parametrize("content", ['{"format": 2}', "[]", '{"format": 1, "rows": [{}]}', "{"])
def test_a_file_of_something_else_is_refused_by_name(tmp_path, content):
    (tmp_path / "evaluation.json").write_text(content)
    with pytest.raises(InputError, match=r"evaluation\.json"):
        read(Workdir(tmp_path))
