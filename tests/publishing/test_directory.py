import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax import publishing
from sde_jax.checkpoints import flatten, read_safetensors, write_safetensors
from sde_jax.data import Digits
from sde_jax.errors import InputError, RunError
from sde_jax.version import __version__


@dataclasses.dataclass(frozen=True)
class MyData(Digits):
    """Data of a user's own."""


@pytest.fixture
def folder(model, tmp_path):
    """The directory of a published model, to be damaged."""
    publishing.save(tmp_path / "model", model)
    return tmp_path / "model"


def contents(folder) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(act, *arguments) -> str:
    with pytest.raises(InputError) as raised:
        act(*arguments)
    (line,) = str(raised.value).splitlines()
    return line


def changed(folder, **changes) -> None:
    data = json.loads((folder / "config.json").read_text())
    for name, value in changes.items():
        *parents, leaf = name.split("__")
        node = data
        for parent in parents:
            node = node[parent]
        node[leaf] = value
    (folder / "config.json").write_text(json.dumps(data))


def with_params(model, change):
    return dataclasses.replace(model, params=jax.tree.map(change, model.params))


@pytest.mark.slow
def test_a_model_comes_back_bit_for_bit_and_computes_the_same(any_model, tmp_path):
    publishing.save(tmp_path / "model", any_model)
    loaded = publishing.load(str(tmp_path / "model"))
    assert (loaded.record, loaded.step) == (any_model.record, any_model.step)
    assert jax.tree.structure(loaded.params) == jax.tree.structure(any_model.params)
    for name, array in flatten(any_model.params).items():
        there = np.asarray(flatten(loaded.params)[name])
        assert (there.dtype, there.tobytes()) == (array.dtype, array.tobytes()), name
    x = jnp.linspace(-1, 1, 16).reshape(4, 4, 1)
    here, there = (jax.jit(m.denoise)(x, 0.4) for m in (any_model, loaded))
    np.testing.assert_array_equal(there, here)
    assert np.abs(here).max() > 0


def test_the_files_are_those_that_hubs_expect(model, folder):
    assert sorted(path.name for path in folder.iterdir()) == sorted(publishing.FILES)
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1  # whoever reads one reads all
    arrays, facts = read_safetensors(folder / "model.safetensors")
    assert arrays.keys() == flatten(model.params).keys()
    assert "blocks/0/inner/kernel" in arrays
    assert facts == {"format": "sde_jax", "format_version": "1", "library_version": __version__, "step": "12"}
    config = json.loads((folder / "config.json").read_text())
    assert model.record.to_json().items() <= config.items()
    assert (config["format_version"], config["step"]) == (1, 12)


def test_a_model_published_before_is_replaced_as_a_whole(other, folder):
    publishing.save(folder, other)
    assert publishing.load(folder).record == other.record
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_an_empty_directory_and_missing_ones_above_are_no_obstacle(model, tmp_path):
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "a" / "b"):
        publishing.save(place, model)
        assert publishing.load(place).step == 12


def test_a_directory_of_other_things_is_left_as_it_is(model, folder):
    (folder / "notes.txt").write_text("mine")
    before = contents(folder)
    assert "holds other things (notes.txt); choose a directory" in refusal(publishing.save, folder, model)
    assert "is no directory" in refusal(publishing.save, folder / "notes.txt", model)
    assert "cannot be written" in refusal(publishing.save, folder / "notes.txt" / "model", model)
    assert contents(folder) == before


def test_what_cannot_be_published_leaves_nothing_behind(model, other, tmp_path):
    def holed(a):
        return np.where(np.arange(a.size).reshape(a.shape) == a.size - 1, np.nan, a).astype(a.dtype)

    own = dataclasses.replace(model.record.experiment, data=MyData())
    cases = [
        (with_params(model, holed), "holds NaN or infinity; expected finite"),
        (with_params(model, lambda a: a * np.float32(np.inf)), "holds NaN or infinity"),
        (with_params(model, lambda a: a.astype(np.float16)), "is float16; expected float32"),
        (dataclasses.replace(model, params=other.params), "the model's parameters: not the weights of this network"),
        (
            dataclasses.replace(model, record=dataclasses.replace(model.record, experiment=own)),
            "; only the library's own components can be published",
        ),
    ]
    for bad, told in cases:
        assert told in refusal(publishing.save, tmp_path / "model", bad)
    assert not list(tmp_path.iterdir())


def test_a_save_that_fails_midway_keeps_the_model_published_before(other, folder, monkeypatch):
    before = contents(folder)

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sde_jax.publishing.directory.written", broken)
    with pytest.raises(RunError, match=r"cannot be written \(No space left on device\); make room"):
        publishing.save(folder, other)
    assert contents(folder.parent) == {f"model/{name}": data for name, data in before.items()}


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_missing_file_is_named(name, folder):
    (folder / name).unlink()
    assert str(folder / name) in refusal(publishing.load, folder)


def test_what_is_no_directory_is_refused(folder):
    assert "no directory there" in refusal(publishing.load, folder / "nowhere")
    assert "no directory there" in refusal(publishing.load, folder / "config.json")


@pytest.mark.parametrize("text", ['{"exp', "", "\x00", "[" * 100_000, "[]", "3", "{}", '{"format_version": "1"}'])
def test_a_damaged_config_is_named(text, folder):
    (folder / "config.json").write_text(text)
    assert refusal(publishing.load, folder).startswith(f"{folder / 'config.json'}: ")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"format_version": 2}, "of format 2, while this library reads 1; install a newer sde_jax"),
        ({"format_version": True}, "format_version is True"),
        ({"format_version": 0}, "format_version is 0"),
        ({"step": -1}, "step and sha256 are missing"),
        ({"sha256": None}, "step and sha256 are missing"),
        ({"experiment__sde": {"type": "os.system", "command": "touch executed"}}, "'os.system': no such GaussianPath"),
        ({"experiment__network": {"type": "builtins.exec"}}, "'builtins.exec': no such Architecture"),
        ({"experiment__network__width": 7}, "expected an even width"),
        ({"shape": [4, 0, 1]}, "expected one number or more an example"),
        ({"levels": float("nan")}, "config.levels = nan: expected int"),
        (
            {"experiment__network__width": 6},
            "of another shape (blocks/0/inner/bias [4] there, [6] expected; ",
        ),
        ({"experiment__network__depth": 2}, "missing (blocks/1/"),
        ({"experiment__network": {"type": "NCSNpp"}}, "config.json: U-Net: the height is 4, expected a multiple of 8"),
        ({"sha256": "0" * 64}, "not the file that config.json was written with"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_config_that_says_something_else_is_refused_and_nothing_in_it_is_run(
    changes, told, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    changed(folder, **changes)
    line = refusal(publishing.load, folder)
    assert line.startswith(str(folder))
    assert told in line
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_damaged_weights_are_refused(folder):
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for damaged in (whole[:-10], whole[:20], b""):
        path.write_bytes(damaged)
        assert str(path) in refusal(publishing.load, folder)
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "not the file that config.json was written with" in refusal(publishing.load, folder)


def test_weights_of_another_type_and_of_another_model_are_refused(model, other, folder):
    path = folder / "model.safetensors"
    write_safetensors(path, {name: array.astype(np.float64) for name, array in flatten(model.params).items()})
    assert "is float64; expected float32: convert it" in refusal(publishing.load, folder)
    write_safetensors(path, flatten(other.params))
    assert f"{path}: not the weights of this network" in refusal(publishing.load, folder)
