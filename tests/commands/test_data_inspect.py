"""`data inspect` tells what data are, exactly, and all that is wrong with them at once."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.distance import pdist

from sde_jax.commands.data import inspect, survey
from sde_jax.commands.data.image_defects import passed_over
from sde_jax.commands.data.moments import Moments
from sde_jax.commands.data.survey import Survey
from sde_jax.data import Arrays, Images, Scaling, Splits

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (12, 5, 4, 3)).astype(np.uint8)


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def archive(path, files: dict[str, bytes]) -> str:
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return str(path)


def good() -> dict[str, bytes]:
    names = [f"{row:02}.png" for row in range(12)]
    labels = {"labels": [[name, row % 3] for row, name in enumerate(names)], "classes": ["x", "y", "z"]}
    return {
        **{name: encoded(PIXELS[row]) for row, name in enumerate(names)},
        "dataset.json": json.dumps(labels).encode(),
    }


@pytest.fixture
def command(sde_jax, tmp_path):
    def inspected(*arguments: object):
        outcome = sde_jax("data", "inspect", *arguments, "--output", tmp_path / "out" / "found", "--json")
        return outcome.code, json.loads(outcome.out)

    return inspected


def test_images_are_told_as_they_are(command, tmp_path):
    code, found = command(archive(tmp_path / "images.zip", good()))
    x0 = PIXELS.reshape(12, -1) / 256
    assert (code, found["problems"]) == (0, [])
    assert found["examples"] == {"train": 12, "held_out": 0}
    assert (found["shape"], found["levels"], found["type"]) == ([5, 4, 3], 256, "uint8")
    assert found["labels"]["train"] == {"x": 4, "y": 4, "z": 4}
    flat = PIXELS.reshape(-1, 3).astype(np.float64)
    for name, values in {
        "mean": flat.mean(0),
        "deviation": flat.std(0),
        "least": flat.min(0),
        "most": flat.max(0),
    }.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)
    for name, unit in {"[0, 1]": 1, "[-1, 1]": 2}.items():
        np.testing.assert_allclose(found["noise"]["sigma_max"][name], unit * pdist(x0).max())
        np.testing.assert_allclose(found["noise"]["sigma_data"][name], unit * x0.std())
    assert found["noise"]["sigma_max_bound"] == found["noise"]["sigma_max"]
    with Image.open(found["picture"]) as picture:
        assert picture.mode == "RGB"
    assert json.loads((tmp_path / "out" / "found.json").read_text()) == found


def test_real_numbers_are_measured_in_units_of_x_0(command, tmp_path):
    values = (RNG.normal(size=(300, 2)) * [5, 0.1] + [7, -1]).astype(np.float32)
    np.savez(tmp_path / "points.npz", x=values, y=np.arange(300) % 2)
    code, found = command(tmp_path / "points.npz", "--config.data.key=x", "--config.data.labels_key=y")
    x0 = (values.astype(np.float64) - values.mean(0)) / values.astype(np.float64).std(0)
    assert code == 0
    np.testing.assert_allclose(found["noise"]["sigma_max"]["x_0"], pdist(x0).max(), rtol=1e-6)
    np.testing.assert_allclose(found["noise"]["sigma_data"]["x_0"], 1)
    assert found["labels"]["train"] == {"0": 150, "1": 150}


def test_the_data_of_a_config_and_their_splits(sde_jax, command, tmp_path):
    code, found = command("--config", "configs/digits_vp.py")
    assert code == 0
    assert found["examples"] == {"train": 1500, "held_out": 297}
    assert sum(found["labels"]["held_out"].values()) == 297
    assert found["most"] == [16.0]


def test_everything_that_is_wrong_with_images_is_listed(command, tmp_path):
    files = good()
    labels = json.loads(files["dataset.json"])
    files |= {
        "03.png": files["03.png"][:60],
        "05.png": b"no image",
        "07.png": encoded(np.zeros((9, 9, 3), np.uint8)),
        "dataset.json": json.dumps({**labels, "labels": labels["labels"][:-1]}).encode(),
    }
    code, found = command(archive(tmp_path / "images.zip", files))
    assert code == 1
    assert (found["unreadable"], found["examples"]["train"]) == (2, 9)
    told = found["problems"]
    assert len(told) == 4
    for name, words in zip(
        ("'03.png' cannot", "'05.png' cannot", "has no label for '11.png'", "2 shapes"), told, strict=True
    ):
        assert name in words
    assert "9 of 5x4x3, 1 of 9x9x3); expected one: give --config.data.size=5" in told[-1]
    flat = np.delete(PIXELS, [3, 5, 7], 0).reshape(-1, 3)
    np.testing.assert_allclose(found["mean"], flat.mean(0))


def test_images_that_settings_make_usable_are_not_wrong(command, tmp_path):
    files = good() | {"12.png": encoded(np.zeros((9, 9, 3), np.uint8)), "13.png": b"no image"}
    del files["dataset.json"]
    path = archive(tmp_path / "images.zip", files)
    code, found = command(path, "--config.data.size=4", "--config.data.skip=1")
    assert (code, found["problems"], found["unreadable"], found["shape"]) == (0, [], 1, [4, 4, 3])
    assert "left out" in found["notes"][0]
    code, found = command(path, "--config.data.size=4")
    assert (code, len(found["problems"])) == (1, 1)
    assert found["notes"][0] == "--config.data.skip=1 leaves out the images that cannot be read"
    code, found = command(archive(tmp_path / "grey.zip", files | {"13.png": encoded(PIXELS[0, ..., 0])}))
    assert "convert all to grey or all to RGB" in found["problems"][-1]


def test_what_open_alone_refuses_is_told_with_the_rest(command, tmp_path):
    path = archive(tmp_path / "images.zip", good() | {"x.gif": b"", "00.png": b""})
    code, found = command(path)
    assert code == 1
    assert ["'00.png'" in found["problems"][0], "'x.gif'" in found["problems"][-1]] == [True, True]


def test_files_that_are_no_images_are_noted(command, tmp_path):
    code, found = command(archive(tmp_path / "images.zip", good() | {"notes.txt": b"hello", "manifest.json": b"{}"}))
    assert (code, found["notes"][0]) == (0, "2 files are no images and are passed over, as 'manifest.json'")
    one = archive(tmp_path / "one.zip", good() | {"notes.txt": b"hello"})
    assert passed_over(Images(str(one))) == ["1 file is no image and is passed over, as 'notes.txt'"]


def test_a_manifest_of_another_kind_makes_no_prepared_data(command, tmp_path):
    for name, content in (good() | {"manifest.json": b"{}"}).items():
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / name).write_bytes(content)
    assert command(tmp_path / "images")[1]["data"]["type"] == "Images"


def test_numbers_that_are_none_are_counted(command, tmp_path):
    values = RNG.normal(size=(50, 3)).astype(np.float32)
    values[[3, 9], [0, 2]] = np.nan, np.inf
    np.save(tmp_path / "nan.npy", values)
    code, found = command(tmp_path / "nan.npy")
    assert code == 1
    assert "2 of 50 examples (3, 9) hold NaN or infinity" in " ".join(found["problems"])
    np.testing.assert_allclose(found["mean"], np.delete(values, [3, 9], 0).mean(0), rtol=1e-5)


def test_every_wrong_column_of_a_table_is_told(command, tmp_path):
    rows = ["1,2,u,5", "x,3,v,5", "4,,u,7", "5,6,v", "7,8,u,9"]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,c,d", *rows]))
    code, found = command(tmp_path / "table.csv")
    told = " ".join(found["problems"])
    assert code == 1
    for words in (
        "1 of 5 rows have not 4",
        "'a' has no finite number in 1 of 4",
        "'b' has no",
        "'c' has no finite number in 4 of 4 rows, as 'u' in row 1",
        "--config.data.label=c, if it is the class",
    ):
        assert words in told
    assert (found["shape"], found["examples"]["train"]) == ([3], 2)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["missing"], "is no folder and no file"),
        (["broken.zip"], "is not a zip that can be read"),
        (["empty"], "holds no images"),
        (["text.npy"], "cannot be read"),
        (["words.npy"], "expected real or whole numbers"),
        (["words.csv"], "column 'a' is 'x' in row 1"),
        (["none.csv"], "has no rows"),
        (["none.tfrecords"], "none.tfrecords"),
        ([], "expected either a PATH or --config FILE"),
        (["empty", "--config=configs/digits_vp.py"], "expected either a PATH or --config FILE"),
        (["empty", "--config.seed=1"], "--config.seed: expected --config with it"),
        (["empty", "--config.data.siez=1"], "did you mean size"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_unusable_is_refused_in_a_line(arguments, told, sde_jax, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, text in {"broken.zip": "x", "text.npy": "x", "words.csv": "a\nx\n", "none.csv": "a,b\n"}.items():
        (tmp_path / name).write_text(text)
    np.save(tmp_path / "words.npy", np.array([["a"]]))
    given = [argument if argument.startswith("-") else tmp_path / argument for argument in arguments]
    lines = sde_jax("data", "inspect", *given, "--output", tmp_path / "out").problems
    assert told in lines[0]
    assert not (tmp_path / "out.json").exists()


def surveyed(train: np.ndarray, held_out: np.ndarray, labels=None, levels=256, **more) -> tuple[Splits, Survey]:
    splits = Splits(Arrays(train, labels), Arrays(held_out), train.shape[1:], levels, **more)
    return splits, Survey(splits)


def test_moments_of_parts_are_those_of_the_whole():
    values = RNG.normal(3, 2, (1000, 4, 3)).astype(np.float32) + np.array([0, 1e4, 5], np.float32)
    moments = Moments(None)
    for part in np.split(values, [1, 17, 640]):
        moments.add(part)
    flat = values.reshape(-1, 3).astype(np.float64)
    np.testing.assert_allclose(moments.mean, flat.mean(0), rtol=1e-12)
    np.testing.assert_allclose(moments.deviation, flat.std(0), rtol=1e-10)
    np.testing.assert_allclose(moments.spread(1.0, 2.0), ((flat - 1) / 2).std(), rtol=1e-10)


def test_copies_are_counted_by_what_they_spoil():
    train = RNG.integers(0, 256, (10, 6)).astype(np.uint8)
    train[[4, 5, 6]] = train[0]
    held_out = np.concatenate([train[:2], 255 - train[:2]])
    splits, found = surveyed(train, held_out, np.array([0, 0, 0, 0, 0, 1, 0, 0, 0, 0]))
    assert (found.copies.repeated, found.copies.shared) == (3, 2)
    told = list(inspect.contradictions(splits, found))
    assert "2 held-out examples are trained on too" in " ".join(told)


def test_labels_that_contradict_each_other_are_told():
    train = RNG.integers(0, 256, (6, 4)).astype(np.uint8)
    splits, found = surveyed(train, train[:0], np.array([0, 0, 2, -1, -1, 2]), classes=("a", "b", "c"))
    told = " ".join(inspect.contradictions(splits, found))
    assert "2 of 6 examples have no label" in told
    assert "no example of 1 of 3 classes: b" in told


def test_wild_numbers_are_left_out_of_everything_else():
    class Wild(Arrays):
        def __getitem__(self, index):
            one = super().__getitem__(index)
            return {**one, "data": one["data"] + np.uint8(200) if index == 1 else one["data"]}

    train = RNG.integers(0, 17, (6, 4)).astype(np.uint8)
    found = Survey(Splits(Wild(train), Arrays(train[:0]), (4,), 17))
    assert found.wild == ["example 1 of train holds levels beyond 0 to 16"]
    np.testing.assert_array_equal(found.kept, np.delete(train, 1, 0))


def test_of_data_that_memory_cannot_hold_a_random_part_bounds_the_distance_from_below(monkeypatch):
    train = RNG.normal(size=(400, 4)).astype(np.float32)
    monkeypatch.setattr(survey, "KEPT_BYTES", 100 * 16)
    splits, found = surveyed(train, train[:0], levels=None, scaling=Scaling())
    assert len(np.unique(found.kept, axis=0)) == 100
    noise = inspect.noise(splits, found, exact=False)
    assert noise["sigma_max_bound"] is None
    assert noise["examples_compared"] == 100
    assert 0.6 * pdist(train).max() < noise["sigma_max"]["x_0"] <= pdist(train).max() + 1e-6


def test_a_search_that_takes_too_long_gives_bounds_unless_it_must_be_exact(monkeypatch):
    directions = RNG.normal(size=(1500, 30))
    train = (directions / np.linalg.norm(directions, axis=1, keepdims=True)).astype(np.float32)
    monkeypatch.setattr(inspect, "MOST_PRODUCTS", 1)
    splits, found = surveyed(train, train[:0], levels=None)
    rough, exact = (inspect.noise(splits, found, exact) for exact in (False, True))
    assert rough["sigma_max"]["x_0"] <= exact["sigma_max"]["x_0"] < rough["sigma_max_bound"]["x_0"]
    assert exact["sigma_max_bound"] == exact["sigma_max"]


def test_the_findings_are_lines(sde_jax, tmp_path):
    path = archive(tmp_path / "images.zip", good() | {"12.png": b""})
    outcome = sde_jax("data", "inspect", path, "--output", tmp_path / "found")
    assert outcome.code == 1
    lines = dict(line.split(maxsplit=1) for line in outcome.out.splitlines() if not line.startswith(" "))
    assert lines["examples"] == "12 train, 0 held_out"
    assert lines["wrong"] == "2"
    assert "'12.png' cannot be read" in outcome.out


def test_the_files_have_the_names_they_are_given_or_the_datas(sde_jax, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "here").mkdir()
    np.save(tmp_path / "theirs" / "points.npy", RNG.normal(size=(20, 2)).astype(np.float32))
    (tmp_path / "theirs").chmod(0o555)
    kept = {"points_inspected.png": b"mine", "points_inspected_2.json": b"mine too"}
    for name, content in kept.items():
        (tmp_path / name).write_bytes(content)

    def picture(*arguments: str) -> str:
        outcome = sde_jax("data", "inspect", "theirs/points.npy", "--json", *arguments)
        assert outcome.code == 0, outcome.err
        found = json.loads(outcome.out)
        written = json.loads((tmp_path / found["picture"]).with_suffix(".json").read_text())
        assert written == found
        return found["picture"]

    assert picture() == "points_inspected_3.png"
    assert picture("--output=new/found.png") == "new/found.png"
    assert picture("--output=new/found") == "new/found_2.png"
    assert picture("--output=here") == "here/points_inspected.png"
    assert {name: (tmp_path / name).read_bytes() for name in kept} == kept
    assert [path.name for path in (tmp_path / "theirs").iterdir()] == ["points.npy"]


def test_where_nothing_can_be_written_is_told_before_anything_is_read(sde_jax, tmp_path):
    (tmp_path / "file").write_text("x")
    np.save(tmp_path / "broken.npy", np.array([["a"]]))
    (line,) = sde_jax("data", "inspect", tmp_path / "broken.npy", "--output", tmp_path / "file" / "x").problems
    assert "is no folder that can be written; choose another --output" in line


def test_data_without_a_file_are_named_by_their_class(sde_jax, tmp_path, monkeypatch):
    config = tmp_path / "moons.py"
    config.write_text(
        "from sde_jax.data import Moons\nfrom sde_jax.experiment import Experiment\n"
        "def get_config():\n    return Experiment(data=Moons())\n"
    )
    monkeypatch.chdir(tmp_path)
    sde_jax("data", "inspect", "--config", config)
    assert (tmp_path / "Moons_inspected.png").exists()
