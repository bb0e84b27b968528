import numpy as np
import pytest

from sde_jax.data import Arrays, Portion, passing

DATA = np.arange(22, dtype=np.int32).reshape(11, 2)


@pytest.fixture(scope="module")
def source() -> Arrays:
    return Arrays(DATA, np.arange(11) % 3)


@pytest.mark.parametrize(("rows", "first", "last"), [(4, 0, None), (4, 3, 9), (11, 0, None), (16, 2, 5), (1, 9, 99)])
def test_a_pass_counts_every_example_once_in_order_and_every_batch_has_as_many_rows(source, rows, first, last):
    batches = list(passing(source, rows, first, last))
    assert {len(batch[name]) for batch, _ in batches for name in batch} == {rows}
    kept = {name: np.concatenate([batch[name][:count] for batch, count in batches]) for name in ("data", "index")}
    np.testing.assert_array_equal(kept["index"], np.arange(11)[first:last])
    np.testing.assert_array_equal(kept["data"], DATA[first:last])


def test_a_pass_over_nothing_is_empty(source):
    assert list(passing(source, 4, 11)) == []


def test_the_examples_of_a_portion_keep_their_indices_and_it_has_an_end(source):
    portion = Portion(source, 3, 20)
    assert len(portion) == 8
    assert int(portion[0]["index"]) == 3
    assert int(portion[7]["label"]) == 10 % 3
    with pytest.raises(IndexError):
        portion[8]
