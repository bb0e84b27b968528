from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of values that the official code recorded (Song et al. 2021)."""
    folder = Path(__file__).parents[1].parent / "shared" / "golden"
    if not folder.is_dir():
        pytest.skip("the recorded values of the official code (../shared/golden) are not here")
    return folder
