import re
from dataclasses import replace

import numpy as np
import pytest

from sde_jax.commands.evaluate import reference
from sde_jax.commands.evaluate.reference import Origin
from sde_jax.commands.workdir import Workdir
from sde_jax.data import Arrays
from sde_jax.errors import InputError
from sde_jax.metrics import Energy, Frechet, Raw, gaussian, merged
from sde_jax.processes import on_host

DATA = np.random.default_rng(0).integers(0, 17, (150, 8, 8, 1), np.uint8)
ORIGIN = Origin("0123", "train", "raw", Raw().open((8, 8, 1), 17).protocol)
METRICS = {"frechet": Frechet(), "energy": Energy()}


@pytest.fixture(scope="module")
def extractor():
    return Raw().open((8, 8, 1), 17)


@pytest.fixture(scope="module")
def record(trained):
    return Workdir(trained).read_record()


class Unreadable(Arrays):
    def __getitem__(self, index):
        raise AssertionError("read although it is in the cache")


def test_statistics_are_of_every_example_and_are_computed_once(tmp_path, record, extractor):
    cache = Workdir(tmp_path)
    found = reference.computed(cache, ORIGIN, METRICS, Arrays(DATA), extractor, record)
    values = gaussian(merged(*found["frechet"].state))
    rows = DATA.reshape(150, -1).astype(float)
    assert values.examples == 150
    np.testing.assert_allclose(values.mean, rows.mean(0), rtol=1e-12)
    np.testing.assert_allclose(values.covariance, np.cov(rows.T), atol=1e-10)
    again = reference.computed(cache, ORIGIN, METRICS, Unreadable(DATA), extractor, record)
    on_host(again["energy"].state)
    np.testing.assert_array_equal(gaussian(merged(*again["frechet"].state)).covariance, values.covariance)
    assert {r.digest for r in again.values()} == {ORIGIN.digest}
    # What is missing alone is computed; nothing of other data, features or settings is taken for it.
    for origin, metrics in (
        (replace(ORIGIN, data="4567"), METRICS),
        (replace(ORIGIN, features="other"), METRICS),
        (replace(ORIGIN, protocol="other"), METRICS),
        (ORIGIN, {**METRICS, "frechet": Frechet(blocks=2)}),
    ):
        with pytest.raises(AssertionError):
            reference.computed(cache, origin, metrics, Unreadable(DATA), extractor, record)
    assert not list((tmp_path / "references" / "rounds").iterdir())


@pytest.fixture
def file(tmp_path, record, extractor):
    found = reference.computed(Workdir(tmp_path), ORIGIN, {"f": Frechet()}, Arrays(DATA), extractor, record)
    reference.write(tmp_path / "reference.npz", found["f"].state, ORIGIN)
    return tmp_path / "reference.npz"


def test_a_file_holds_what_was_computed_in_the_layout_of_edm(file, extractor):
    rows = DATA.reshape(150, -1).astype(float)
    with np.load(file) as arrays:
        np.testing.assert_allclose(arrays["mu"], rows.mean(0), rtol=1e-12)
        np.testing.assert_allclose(arrays["sigma"], np.cov(rows.T), atol=1e-10)
    given = reference.given(file, extractor, ORIGIN.data)
    assert (given.digest, given.split, given.warnings) == (ORIGIN.digest, "reference.npz", ())
    assert given.state.examples == 150
    (warning,) = reference.given(file, extractor, None).warnings
    assert "data are not here" in warning


def test_a_file_of_something_else_is_refused_and_both_are_named(file, extractor, record):
    changes = [("data", "4567"), ("features", "inception"), ("protocol", "resized to 299")]
    for name, other in changes:
        reference.write(file, _state(record, extractor), replace(ORIGIN, **{name: other}))
        both = f"{name} {other!r} there, {getattr(ORIGIN, name)!r} here"
        with pytest.raises(InputError, match=re.escape(both)):
            reference.given(file, extractor, ORIGIN.data)
    np.savez(file, mu=np.zeros(3), sigma=np.eye(3))
    with pytest.raises(InputError, match="3 features there, 64 of 'raw' here"):
        reference.given(file, extractor, ORIGIN.data)


def _state(record, extractor):
    metric = Frechet()
    outputs = reference.Outputs(DATA.reshape(150, -1).astype(np.float32), None, np.arange(150))
    return metric.update(metric.init(), outputs)


def test_a_file_of_another_program_is_taken_with_a_warning(tmp_path, extractor):
    files = [tmp_path / "a.npz", tmp_path / "b.npz"]
    for scale, path in enumerate(files):
        np.savez(path, mu=np.full(64, scale), sigma=np.eye(64))
    a, b = (reference.given(path, extractor, ORIGIN.data) for path in files)
    assert a.warnings == ("the reference a.npz does not say of which data and features and protocol it is",)
    assert a.digest != b.digest
    assert a.state.examples is None
