import pytest

from sde_jax.errors import InputError
from sde_jax.training import Preview


@pytest.mark.parametrize("wrong", [{"every": -1}, {"count": 0}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InputError, match="expected every >= 0 and count >= 1"):
        Preview(**wrong)


def test_none_is_made_by_default():
    assert Preview().every == 0
