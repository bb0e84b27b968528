"""With several processes: tests/faults/test_checkpoints.py."""

import pytest

from sde_jax.errors import InputError
from sde_jax.training.agreement import agreed


def test_one_process_agrees_with_itself():
    assert agreed(lambda: {"step": 3}) == {"step": 3}


@pytest.mark.parametrize("error", [InputError("why"), OSError("why")])
def test_what_cannot_be_found_out_is_an_input_error(error):
    def find():
        raise error

    with pytest.raises(InputError, match="why"):
        agreed(find)
