import jax
import pytest


@pytest.fixture(autouse=True)
def float64():
    """Compute every test of this folder in float64, and none outside it."""
    with jax.enable_x64(True):
        yield
