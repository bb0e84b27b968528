"""Channels are last: put there where it is stated, taken so where sizes tell, refused where they do not."""

import numpy as np
import pytest

from sde_jax.data import ArrayFile, Arrays, batches
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Training
from sde_jax.model import Record
from sde_jax.training import Symmetry

RANDOM = np.random.default_rng(0)


def file_of(tmp_path, shape, real=False, **fields) -> ArrayFile:
    data = RANDOM.normal(size=(6, *shape)) if real else RANDOM.integers(0, 256, (6, *shape)).astype(np.uint8)
    np.save(tmp_path / "x.npy", data)
    return ArrayFile(str(tmp_path / "x.npy"), **fields)


def data_of(splits) -> np.ndarray:
    return np.stack([splits.train[index]["data"] for index in range(len(splits.train))])


@pytest.mark.parametrize(
    "shape",
    [
        (32, 32, 3),
        (28, 28, 1),
        (48, 64, 3),
        (5, 4, 3),
        (4, 4, 1),
        (2, 2, 3),
        (2, 3, 1),
        (16, 16, 8),
        (1, 1, 1),
        (64, 3, 1),
    ],
)
@pytest.mark.parametrize("real", [False, True])
def test_channels_that_are_last_are_taken_so(tmp_path, shape, real):
    assert file_of(tmp_path, shape, real).open().shape == shape


@pytest.mark.parametrize(
    "shape", [(3, 32, 32), (1, 28, 28), (3, 48, 64), (4, 16, 16), (2, 8, 8), (20, 64, 64), (1, 2, 2)]
)
@pytest.mark.parametrize("real", [False, True])
def test_channels_that_seem_first_are_refused_by_the_setting_that_states_them(tmp_path, shape, real):
    with pytest.raises(InputError, match=r"look like \[channels, height, width\].*set axes to 'chw'.*or to 'hwc'"):
        file_of(tmp_path, shape, real).open()


@pytest.mark.parametrize("shape", [(3, 64, 3), (3, 3, 3), (16, 16, 16), (20, 48, 64), (1, 8, 3)])
def test_channels_that_may_be_first_or_last_are_refused(tmp_path, shape):
    with pytest.raises(InputError, match=r"may be \[height, width, channels\] or \[channels, height, width\]"):
        file_of(tmp_path, shape).open()


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("chw", (3, 5, 7), (5, 7, 3)),
        ("hwc", (3, 5, 7), (3, 5, 7)),
        ("hw", (5, 7), (5, 7, 1)),
        ("hcw", (5, 3, 7), (5, 7, 3)),
        ("ct", (2, 9), (9, 2)),
        ("cwh", (3, 5, 7), (7, 5, 3)),
        ("tc", (9, 9), (9, 9)),
        ("dhw", (4, 4, 4), (4, 4, 4, 1)),
        ("cdhw", (2, 4, 5, 6), (4, 5, 6, 2)),
    ],
)
@pytest.mark.parametrize("real", [False, True])
def test_stated_axes_are_put_in_order(tmp_path, axes, shape, expected, real):
    splits = file_of(tmp_path, shape, real, axes=axes, held_out=1).open()
    assert splits.shape == splits.held_out[0]["data"].shape == expected
    array = np.load(tmp_path / "x.npy")
    letters = [letter for letter in "tdhwc" if letter in axes]
    moved = np.einsum(f"n{axes}->n{''.join(letters)}", array).reshape(6, *expected)
    kept = moved[np.sort(np.random.RandomState(0).permutation(6)[:5])]
    np.testing.assert_array_equal(data_of(splits), kept.astype(data_of(splits).dtype))
    if real:
        assert len(splits.scaling.shift) == expected[-1]


def test_channels_that_are_put_last_are_scaled_each_for_itself(tmp_path):
    data = RANDOM.normal(size=(50, 3, 8, 8)) * np.array([1.0, 5.0, 0.1])[:, None, None]
    np.save(tmp_path / "x.npy", data)
    splits = ArrayFile(str(tmp_path / "x.npy"), axes="chw").open()
    np.testing.assert_allclose(splits.scaling.scale, data.std((0, 2, 3)), rtol=1e-9)
    held_out = ArrayFile(str(tmp_path / "x.npy"), axes="chw", held_out_key=str(tmp_path / "x.npy")).open().held_out
    np.testing.assert_array_equal(held_out[7]["data"], np.moveaxis(data[7], 0, -1).astype(np.float32))


@pytest.mark.parametrize("axes", ["hhw", "hwx", "HWC", "h w"])
def test_axes_are_letters_each_once(axes):
    with pytest.raises(InputError, match=r"axes = .*: expected the axes of an example"):
        ArrayFile("x.npy", axes=axes)


def test_axes_are_as_many_as_the_data_have(tmp_path):
    with pytest.raises(InputError, match=r"shape \(5, 7\) and axes = 'hwc'; expected a letter for each"):
        file_of(tmp_path, (5, 7), axes="hwc").open()


def test_real_numbers_are_scaled_along_an_axis_that_is_known_to_be_columns(tmp_path):
    with pytest.raises(
        InputError, match=r"pictures without channels, or rows of columns.*'hw' or to 'tc', or per_feature"
    ):
        file_of(tmp_path, (28, 28), real=True).open()
    with pytest.raises(InputError, match="channels seem to be first"):
        file_of(tmp_path, (2, 8, 8, 8), real=True).open()
    for shape, fields in (((28, 28), {"per_feature": False}), ((3, 3), {}), ((10, 4), {}), ((4, 10), {})):
        assert file_of(tmp_path, shape, real=True, **fields).open().shape == shape
    assert file_of(tmp_path, (28, 28)).open().shape == (28, 28)  # levels, which no axis scales


@pytest.mark.parametrize("shape", [(3, 8, 8), (8, 8), (8,)])
@pytest.mark.parametrize("change", [{"flip": True}, {"crop": 1}])
def test_only_pictures_with_channels_last_are_mirrored_and_cropped(shape, change):
    source = Arrays(np.zeros((4, *shape), np.uint8))
    assert next(batches(source, batch_size=2, seed=0))["data"].shape == (2, *shape)
    with pytest.raises(InputError, match="expected \\[height, width, channels\\]"):
        batches(source, batch_size=2, seed=0, **change)


def test_grey_pictures_without_channels_are_pictures_once_that_is_said(tmp_path):
    assert not Record.of(Experiment(), file_of(tmp_path, (28, 28)).open()).is_image
    assert Record.of(Experiment(), file_of(tmp_path, (28, 28), axes="hw").open()).is_image


@pytest.mark.parametrize("change", [{"flip": True}, {"crop": 2}, {"symmetry": Symmetry(turns=True)}])
def test_a_run_that_moves_pictures_has_their_channels_last(change):
    moving = Experiment(training=Training(**change))
    assert Record(moving, (8, 8, 3), 256).shape == (8, 8, 3)
    with pytest.raises(InputError, match="the channels seem to be first; put them last"):
        Record(moving, (3, 8, 8), 256)


def test_inspect_says_what_the_axes_are_taken_for_or_that_they_must_be_stated(tmp_path, sde_jax):
    channels_first = RANDOM.integers(0, 256, (6, 3, 8, 8)).astype(np.uint8)
    np.save(tmp_path / "x.npy", channels_first)
    flags = ["data", "inspect", tmp_path / "x.npy", "--output", tmp_path / "found"]
    (line,) = sde_jax(*flags).problems
    assert "set axes to 'chw'" in line
    out = sde_jax(*flags, "--config.data.axes=chw").done().out
    assert "8x8x3 (height, width, channels) uint8" in out
    np.save(tmp_path / "x.npy", channels_first[:, 0])
    assert "--config.data.axes=hw, if they are grey ones" in sde_jax(*flags).done().out
