import json

import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.training.lines import append_line, line, read_lines, replace_lines

ROWS = [{"a": 1}, {"a": 2, "b": [1.5, None]}, {"a": "three"}]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "rows.jsonl"


def test_rows_come_back_in_order_however_they_were_written(path):
    replace_lines(path, ROWS[:2])
    append_line(path, ROWS[2])
    assert read_lines(path) == ROWS
    assert path.read_text() == "".join(map(line, ROWS))


def test_a_file_that_is_not_there_has_no_rows_and_can_be_added_to(path):
    assert read_lines(path) == []
    append_line(path, ROWS[0])
    assert read_lines(path) == ROWS[:1]


@pytest.mark.parametrize("cut", range(1, 10))
def test_a_line_cut_off_by_a_kill_is_left_out_and_harms_no_other(path, cut):
    replace_lines(path, ROWS[:2])
    path.write_bytes(path.read_bytes()[:-cut])
    append_line(path, ROWS[2])
    assert read_lines(path) == [ROWS[0], *([ROWS[1]] if cut == 1 else []), ROWS[2]]


def test_bytes_that_are_no_text_and_values_that_are_no_rows_are_left_out(path):
    path.write_bytes(b'\xff\x00\n17\n[1]\n{"a": 1}\n')
    assert read_lines(path) == ROWS[:1]


def test_what_json_does_not_know_is_null():
    row = {
        "a": np.nan,
        "b": [jnp.inf, 1.0, [-np.inf]],
        "c": np.float32("nan"),
        "d": jnp.asarray([1.0, np.nan]),
        "e": np.int64(3),
    }
    strict = json.loads(line(row), parse_constant=lambda name: pytest.fail(name))
    assert strict == {"a": None, "b": [None, 1.0, [None]], "c": None, "d": [1.0, None], "e": 3}


def test_a_file_is_replaced_as_a_whole(path):
    replace_lines(path, ROWS)
    replace_lines(path, ROWS[:1])
    assert read_lines(path) == ROWS[:1]
    assert [file.name for file in path.parent.iterdir()] == [path.name]
