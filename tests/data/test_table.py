"""A table is read as numbers and classes, or refused by column and row."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sde_jax.data import Table
from sde_jax.errors import InputError

RANDOM = np.random.default_rng(0)
COLUMNS = {
    "height": RANDOM.normal(1.7, 0.1, 30),
    "age": RANDOM.integers(0, 90, 30),
    "name of it": RANDOM.normal(size=30) * 1e6,
}
KINDS = [["red", "blue", "green"][row % 3] for row in range(30)]


def written(path: Path, suffix: str, columns: dict) -> str:
    file = path / f"table{suffix}"
    if suffix == ".parquet":
        pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), file)
    else:
        separator = {".csv": ",", ".tsv": "\t"}[suffix]
        rows = zip(*columns.values(), strict=True)
        lines = [separator.join(columns), *(separator.join("" if v is None else str(v) for v in row) for row in rows)]
        file.write_text("\n".join(lines) + "\n\n")
    return str(file)


def refusal(path: str, **fields) -> str:
    with pytest.raises(InputError) as raised:
        Table(path, **fields).open()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def rows(source) -> np.ndarray:
    return np.stack([source[index]["data"] for index in range(len(source))])


both = pytest.mark.parametrize("suffix", [".csv", ".parquet"])


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_numbers_are_read_as_they_are_and_classes_are_numbered_in_sorted_order(tmp_path, suffix):
    path = written(tmp_path, suffix, {**COLUMNS, "kind": KINDS})
    splits = Table(path, label="kind", held_out=6, delimiter="\t" if suffix == ".tsv" else ",").open()
    order = np.random.RandomState(0).permutation(30)
    expected = np.stack([np.asarray(column, np.float64) for column in COLUMNS.values()], -1).astype(np.float32)
    np.testing.assert_array_equal(rows(splits.train), expected[np.sort(order[:24])])
    np.testing.assert_array_equal(rows(splits.held_out), expected[np.sort(order[24:])])
    assert (splits.shape, splits.levels, splits.classes) == ((3,), None, ("blue", "green", "red"))
    kinds = [splits.classes[splits.held_out[index]["label"]] for index in range(6)]
    assert kinds == [KINDS[row] for row in np.sort(order[24:])]


@both
def test_columns_are_those_asked_for_in_their_order_and_standardised_by_the_rows_to_train_on(tmp_path, suffix):
    path = written(tmp_path, suffix, {**COLUMNS, "text": KINDS, "empty": [None] * 30})
    splits = Table(path, columns=("age", "height"), held_out=10).open()
    train = rows(splits.train).astype(np.float64)
    np.testing.assert_allclose(splits.scaling.shift, train.mean(0), rtol=1e-12)
    np.testing.assert_allclose(splits.scaling.scale, train.std(0), rtol=1e-12)
    assert train[:, 0].max() > 50 > 3 > train[:, 1].max()
    assert (splits.train[0]["label"], splits.classes) == (-1, ())


@both
def test_classes_that_are_numbers_are_sorted_as_numbers(tmp_path, suffix):
    path = written(tmp_path, suffix, {**COLUMNS, "kind": [[10, 9, -1][row % 3] for row in range(30)]})
    splits = Table(path, label="kind").open()
    assert splits.classes == ("-1", "9", "10")
    assert [int(splits.train[index]["label"]) for index in range(3)] == [2, 1, 0]


@both
@pytest.mark.parametrize("column", ["age", "kind"])
def test_a_missing_value_is_refused_by_column_and_row(tmp_path, suffix, column):
    columns = {name: list(values) for name, values in {**COLUMNS, "kind": KINDS}.items()}
    columns[column][16] = None
    path = written(tmp_path, suffix, columns)
    assert f"column {column!r} has no value in row 17" in refusal(path, label="kind")


@both
def test_text_among_the_numbers_is_refused_by_column_and_row(tmp_path, suffix):
    ages = [str(age) for age in COLUMNS["age"]]
    path = written(tmp_path, suffix, {**COLUMNS, "kind": KINDS, "age": ages if suffix == ".csv" else KINDS})
    assert "column 'kind' is 'red' in row 1; expected numbers" in refusal(path, columns=("height", "kind"))
    ages[4] = "old"
    assert "column 'age' is 'old' in row 5; expected numbers" in refusal(
        written(tmp_path, ".csv", {**COLUMNS, "age": ages})
    )


@both
@pytest.mark.parametrize("value", [np.nan, -np.inf, 1e300])
def test_a_value_that_is_not_finite_in_float32_is_refused_by_column_and_row(tmp_path, suffix, value):
    heights = COLUMNS["height"].copy()
    heights[28] = value
    path = written(tmp_path, suffix, {**COLUMNS, "height": heights})
    assert f"column 'height' is {value} in row 29; expected a finite" in refusal(path)


@both
def test_a_column_of_one_value_is_refused_by_name(tmp_path, suffix):
    path = written(tmp_path, suffix, {**COLUMNS, "unit": [0.1] * 30})
    assert "column 'unit' is 0.1 in every row to train on" in refusal(path)


@both
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"columns": ("width",)}, "has no column 'width'; expected one of 'height', 'age', 'name of it'"),
        ({"label": "width"}, "has no column 'width'"),
        ({"held_out": 30}, "has 30 examples; expected more than held_out = 30"),
    ],
)
def test_what_a_table_does_not_hold_is_refused(tmp_path, suffix, fields, reason):
    assert reason in refusal(written(tmp_path, suffix, COLUMNS), **fields)


@both
def test_a_table_without_rows_or_without_numbers_is_refused(tmp_path, suffix):
    assert "has no rows" in refusal(written(tmp_path, suffix, {"a": [], "b": []}))
    assert "has no columns to model" in refusal(written(tmp_path, suffix, {"kind": KINDS}), label="kind")


CSV = {
    "ragged": ("a,b\n1,2\n3\n", "row 2 has 1 values; expected 2"),
    "blank column": ("a\n1\n\n2\n", "row 2 has 0 values; expected 1"),
    "empty values": ("a,b\n1,2\n,\n", "row 2 has 0 values; expected 2"),
    "text after quotes": ('a,b\n"1"2,3\n', "cannot be read as CSV"),
    "quotes in names": ('"a,b\n1,2\n', "cannot be read as CSV"),
    "names alone": ("a,b", "has no rows"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), "cannot be read as CSV"),
    "late bytes": (b"a,b\n1,2\n3,\xff\n", "cannot be read as CSV"),
    "longer": ("a,b\n1,2,3\n", "row 1 has 3 values; expected 2"),
    "blank": ("a,b\n1,2\n\n3,4\n", "row 2 has 0 values"),
    "no names": ("1,2\n3,4\n", "begins with numbers (1, ...); expected the columns' names"),
    "same names": ("a,a\n3,4\n", "has 2 columns named 'a'"),
    "no name": (",a\n3,4\n", "has 1 columns named ''"),
    "nothing": ("", "has no columns"),
    "quotes": ('a,b\n"1,2\n', "cannot be read as CSV"),
    "bytes": (b"a,b\n\xff,1\n", "cannot be read as CSV"),
}


@pytest.mark.parametrize("case", CSV)
def test_a_csv_that_is_no_table_is_refused(tmp_path, case):
    content, reason = CSV[case]
    path = tmp_path / "table.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert reason in refusal(str(path))


def test_a_csv_may_begin_with_a_byte_order_mark_and_quote_what_it_likes(tmp_path):
    path = tmp_path / "table.csv"
    path.write_bytes('\ufeff"a, b", c\r\n"1", -2.5e0 \r\n3,4\r\n'.encode())
    np.testing.assert_array_equal(rows(Table(str(path), columns=("a, b", "c")).open().train), [[1, -2.5], [3, 4]])


def test_a_file_that_is_missing_damaged_or_of_another_kind_is_refused(tmp_path, monkeypatch):
    assert "nowhere.csv cannot be read as CSV" in refusal(str(tmp_path / "nowhere.csv"))
    path = Path(written(tmp_path, ".parquet", COLUMNS))
    path.write_bytes(path.read_bytes()[:300])
    assert "table.parquet cannot be read as Parquet" in refusal(str(path))
    assert "table.xlsx has the suffix '.xlsx'; expected" in refusal("table.xlsx")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    assert "install it: pip install pyarrow" in refusal(str(path))


@pytest.mark.parametrize(
    "fields",
    [
        {"held_out": -1},
        {"delimiter": ""},
        {"delimiter": '"'},
        {"columns": ("a", "a")},
        {"columns": ("a",), "label": "a"},
    ],
)
def test_settings_that_contradict_are_refused(fields):
    with pytest.raises(InputError, match="expected"):
        Table("x.csv", **fields)


@pytest.mark.parametrize("text", ["2020_01_01", "1_0", "\u0663", "0x10", "1,5", "1e", "one"])
def test_a_text_that_is_no_number_in_decimal_notation_is_refused(tmp_path, text):
    path = tmp_path / "table.csv"
    path.write_text(f"a;b\n1;2\n3;{text}\n")
    assert f"column 'b' is {text!r} in row 2; expected numbers" in refusal(str(path), delimiter=";")


def test_a_label_is_text_whatever_it_looks_like(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(
        "a,day\n" + "".join(f"{n},{day}\n" for n, day in enumerate(["2020_01_02", "01", "1", "2020_01_01"]))
    )
    splits = Table(str(path), label="day").open()
    assert splits.classes == ("01", "1", "2020_01_01", "2020_01_02")
    assert splits.train.labels.tolist() == [3, 0, 1, 2]


def test_a_wide_table_is_read_column_by_column(tmp_path):
    values = RANDOM.normal(size=(3, 5000))
    path = tmp_path / "table.csv"
    lines = [",".join(f"c{n}" for n in range(5000)), *(",".join(map(repr, row.tolist())) for row in values)]
    path.write_text("\n".join(lines))
    np.testing.assert_array_equal(rows(Table(str(path)).open().train), values.astype(np.float32))


def test_a_field_may_be_long_and_hold_newlines_and_quotes(tmp_path):
    path, text = tmp_path / "table.csv", "x" * 100_000
    path.write_text(f'a,k\n1,"{text}"\n2,"two\nlines, ""quoted"""\n 3.5 , plain \n')
    splits = Table(str(path), label="k").open()
    assert splits.classes == ("plain", 'two\nlines, "quoted"', text)
    np.testing.assert_array_equal(rows(splits.train)[:, 0], [1, 2, 3.5])


def test_a_delimiter_is_ascii():
    with pytest.raises(InputError, match="one ASCII character"):
        Table("x.csv", delimiter="\u00a6")
