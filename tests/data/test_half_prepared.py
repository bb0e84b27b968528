"""Prepared data are whole, or refused, whenever their preparation is killed; the same preparation completes them."""

from pathlib import Path

import numpy as np
import pytest

from sde_jax.data import Arrays, Prepared, Splits, in_order, prepare
from sde_jax.errors import InputError

DATA = np.random.default_rng(0).integers(0, 256, (12, 4, 4, 1)).astype(np.uint8)


class KilledError(BaseException):
    """The process is no more."""


def prepared(folder: Path) -> None:
    splits = Splits(Arrays(DATA[:9]), Arrays(DATA[9:]), (4, 4, 1), 256)
    prepare(splits, {"of": "test"}, folder, shards=3)


@pytest.mark.parametrize("name", ["plain", "a[b]c", "a\\b"])
def test_after_a_kill_at_any_rename_data_are_refused_or_whole_and_the_same_command_completes_them(
    name, tmp_path, monkeypatch
):
    at, replace = 0, Path.replace
    while True:
        folder, left = tmp_path / f"{name}{at}", [at]

        def dying(self, target, left=left):
            if not left[0]:
                raise KilledError
            left[0] -= 1
            return replace(self, target)

        with monkeypatch.context() as patch:
            patch.setattr(Path, "replace", dying)
            try:
                prepared(folder)
                break
            except KilledError:
                with pytest.raises(InputError):
                    Prepared(str(folder)).open()
        prepared(folder)
        (batch,) = in_order(Prepared(str(folder)).open().train, 16)
        np.testing.assert_array_equal(batch["data"], DATA[:9])
        assert not list(folder.glob(".partial-*"))
        at += 1
    assert at >= 5  # the manifest, and each shard with the manifest after it
