import json

import numpy as np
import pytest
from PIL import Image

from sde_jax.commands.restoration import Choices, Request
from sde_jax.commands.restoration.restore import measured
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment
from sde_jax.guidance import PiGDM
from sde_jax.model import Record
from sde_jax.nn import MLP, Channels

FEW = ("--steps=3", "--num_samples=3")
GREY, COLOUR = Record(Experiment(), (8, 8, 1), 17), Record(Experiment(), (8, 12, 3), 256)


def saved(path, values):
    """A picture of uint8 values, or an array of others."""
    if values.dtype == np.uint8:
        Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values).save(path)
    else:
        np.save(path, values)
    return path


def of_file(record, path, task, **choices):
    return measured(record, Request(task, Choices(**choices)).setting(record), path)


@pytest.fixture(scope="module")
def restored(trained, tmp_path_factory):
    """The files, without ending, of a held-out digit that was inpainted."""
    from tests.conftest import invoke

    base = tmp_path_factory.mktemp("restored") / "digit"
    assert invoke("restore", "--workdir", trained, "--task=inpaint", "--example=2", *FEW, "--output", base) == 0
    return base


def test_restored_are_a_picture_arrays_and_numbers(restored, trained):
    facts = json.loads(restored.with_suffix(".json").read_text())
    assert (facts["task"], facts["method"], facts["num_samples"]) == ("inpaint", "MomentMatching", 3)
    assert facts["function_evaluations"] == 3
    assert set(facts["against_truth"]["coverage"]) == {"0.5", "0.8", "0.9", "0.95"}
    assert facts["against_truth"]["coverage"]["0.9"]["standard_error"] is None  # of one example
    assert {"unsolved", "worst", "not_finite", "point_estimates"} <= facts["flags"].keys()
    with np.load(restored.with_suffix(".npz")) as arrays:
        members, value = arrays["members"], arrays["measurement"]
        np.testing.assert_allclose(arrays["mean"], members.mean(0), atol=1e-5)
        np.testing.assert_allclose(arrays["deviation"], members.std(0, ddof=1), atol=1e-5)
        truth = arrays["truth"]
    assert members.shape == (3, 8, 8, 1)
    hidden = np.zeros((8, 8), bool)
    hidden[2:6, 2:6] = True
    np.testing.assert_array_equal(np.isnan(value[..., 0]), hidden)
    middle = -1 + (truth + 0.5) * 2 / 17
    assert np.nanmax(np.abs(value - middle)) < 1 / 17 + 5 * 0.05
    with Image.open(restored.with_suffix(".png")) as picture:
        assert min(picture.size) > 300


@pytest.mark.slow
def test_a_sample_does_not_depend_on_the_batch(restored, trained, tmp_path, sde_jax):
    more = ("--steps=3", "--num_samples=4", "--batch_size=2", "--output", tmp_path / "more")
    sde_jax("restore", "--workdir", trained, "--task=inpaint", "--example=2", *more).done()
    first, second = (np.load(f"{base}.npz")["members"] for base in (restored, tmp_path / "more"))
    np.testing.assert_allclose(second[:3], first, atol=1e-3)


def test_with_nothing_observed_samples_are_the_priors_and_that_is_said(run, tmp_path, sde_jax):
    mask = saved(tmp_path / "mask.png", np.zeros((8, 8, 1), np.uint8))
    flags = ("--task=inpaint", "--mask", mask, "--method=DPS", "--input", mask, *FEW)
    outcome = sde_jax("restore", "--workdir", run, *flags, "--json").done()
    facts = json.loads(outcome.out)
    assert facts == json.loads((run / "restored_inpaint.json").read_text())
    assert facts["warnings"][0].startswith("point estimates")
    assert facts["warnings"][1] == "nothing is observed: these are samples of the prior"
    assert facts["residual_chi_square"] == 0
    assert "against_truth" not in facts


def test_calibration_is_a_table_a_picture_arrays_and_numbers(run, sde_jax):
    flags = ("--task=superres", "--method=PiGDM", "--config.method.data_variance=0.5", "--truth=model", *FEW)
    outcome = sde_jax("calibrate", "--workdir", run, *flags, "--num_examples=4").done()
    facts = json.loads((run / "calibration_superres.model.json").read_text())
    lines = {line[:28].strip(): line[29:] for line in outcome.out.splitlines()}
    assert lines["truths"] == "4, model"
    assert f"{100 * facts['coverage']['0.9']['value']:.4g}" in lines["90% intervals hold"]
    assert facts["settings"]["method"]["data_variance"] == 0.5
    assert sum(facts["ranks"]["histogram"]) == pytest.approx(4 * 64)
    assert set(facts["quantities"]) == {"mean", "energy", "roughness", "log_likelihood"}
    assert all(sum(found["histogram"]) == pytest.approx(4) for found in facts["quantities"].values())
    with np.load(run / "calibration_superres.model.npz") as arrays:
        assert arrays["members"].shape == (4, 3, 8, 8, 1)
        assert arrays["measurement"].shape == (4, 4, 4, 1)
    with Image.open(run / "calibration_superres.model.png") as picture:
        assert picture.size[0] > picture.size[1] > 300


def test_a_pictures_bytes_are_levels_in_the_middles_of_their_cells(tmp_path):
    levels = np.arange(17, dtype=np.uint8)[:16].reshape(4, 4, 1)
    path = saved(tmp_path / "small.png", np.rint(levels * (255 / 16)).astype(np.uint8))
    np.testing.assert_allclose(of_file(GREY, path, "superres").value, -1 + (levels + 0.5) * 2 / 17, atol=4e-3)


def test_an_array_holds_levels_and_nan_where_nothing_was_measured(tmp_path):
    values = np.full((8, 8, 1), 3.5, np.float32)
    values[1, 2] = np.nan
    found = of_file(GREY, saved(tmp_path / "y.npy", values), "deblur")
    assert np.isnan(found.value[1, 2, 0])
    assert float(found.value[0, 0, 0]) == pytest.approx(-1 + 4 * 2 / 17)


def test_colours_are_measured_of_a_grey_picture_or_of_one_with_colours(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    whole = of_file(COLOUR, saved(tmp_path / "rgb.png", colours), "colorize").value
    assert whole.shape == (8, 12, 1)
    grey = of_file(COLOUR, saved(tmp_path / "grey.png", np.full((8, 12, 1), 255, np.uint8)), "colorize").value
    np.testing.assert_allclose(grey, 1 - 1 / 256, atol=1e-6)


def test_sensors_read_a_picture_or_bring_their_own_values(tmp_path):
    table = tmp_path / "sensors.csv"
    table.write_text("# row, column\n0, 0\n6.5, 3\n")
    picture = np.arange(64, dtype=np.float32).reshape(8, 8, 1) / 4
    found = of_file(GREY, saved(tmp_path / "x.npy", picture), "sensors", sensors=table)
    expected = np.array([picture[0, 0], (picture[6, 3] + picture[7, 3]) / 2])
    np.testing.assert_allclose(found.value, -1 + (expected + 0.5) * 2 / 17, rtol=1e-5)
    table.write_text("0,0,16\n7,7,nan\n")
    found = of_file(GREY, None, "sensors", sensors=table)
    np.testing.assert_allclose(found.value, [[1 - 1 / 17], [np.nan]], rtol=1e-6)


def test_a_method_is_named_and_its_numbers_are_set():
    setting = Request("inpaint", method="PiGDM", overrides={"method.data_variance": "0.5"}, steps=7).setting(GREY)
    assert setting.method == PiGDM(data_variance=0.5)
    assert setting.sampler.steps == 7


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--task=inpant"], "--task=inpant: no such task; did you mean inpaint?"),
        (["--task=inpaint", "--method=MomentMaching"], "no such PosteriorMethod; did you mean MomentMatching?"),
        (["--task=inpaint", "--noise=0"], "--noise=0: expected a positive number, in units of x_0"),
        (["--task=inpaint", "--noise=nan"], "--noise=nan: expected a positive number, in units of x_0"),
        (["--task=inpaint", "--num_samples=1"], "--num_samples=1: expected 2 or more"),
        (["--task=inpaint", "--sampler=foo"], "--sampler=foo: this run has pc, ode"),
        (["--task=inpaint", "--sampler=ode", "--steps=5"], "--steps: ode makes steps of its own; leave it out"),
        (["--task=inpaint", "--config.method.gama=1"], "--method.gama: no such setting"),
        (["--task=inpaint", "--config.sde=VE"], "--config.sde: expected --config.method.name=value"),
        (["--task=colorize"], "--task=colorize: this run's images are grey; expected a run of RGB images"),
        (["--task=superres", "--factor=3"], "at factor 3: expected sides that are multiples of it"),
        (["--task=deblur", "--blur=0"], "deviation = 0.0 pixels: expected a positive number"),
        (["--task=inpaint", "--example=297"], "--example=297: this run's data hold out 297 examples, from 0 on"),
        (["--task=inpaint"], "expected --input FILE or --example N, one of them"),
        (["--task=inpaint", "--input=none.png", "--example=1"], "expected --input FILE or --example N, one of them"),
        (["--task=inpaint", "--input=none.png"], "none.png: cannot be read (No such file or directory)"),
        (["--task=inpaint", "--input=text.png"], "text.png"),
        (["--task=inpaint", "--input=large.png"], "(9, 8, 1): expected (8, 8, 1), as this task measures"),
        (["--task=superres", "--input=grey.png"], "(8, 8, 1): expected (4, 4, 1), as this task measures"),
        (["--task=inpaint", "--input=grey.png", "--mask=large.png"], "9 x 8 pixels: expected 8 x 8, as the run's"),
        (["--task=inpaint", "--input=nan.npy", "--simulate"], "expected a clean image of shape (8, 8, 1), of levels"),
        (["--task=inpaint", "--input=inf.npy"], "y holds infinity: expected finite numbers"),
        (["--task=sensors", "--sensors=far.csv", "--example=0"], "position [0.0, 8.0] of sensor 1: expected row and"),
        (["--task=sensors", "--sensors=text.png", "--example=0"], "expected lines of numbers set apart by commas"),
        (
            ["--task=sensors", "--sensors=date.csv", "--example=0"],
            "'2020_01_01' is no number: expected lines of numbers",
        ),
        (["--task=deblur", "--blur=1_0", "--example=0"], "'1_0': expected a number"),
        (["--task=inpaint", "--input=first.npy"], "(1, 8, 7): expected (8, 8, 1), as this task measures"),
        (["--task=sensors", "--sensors=wide.csv", "--example=0"], "lines of [5] numbers: expected 2 or 3"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_line(flags, problem, trained, tmp_path, monkeypatch, sde_jax):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "grey.png", np.full((8, 8, 1), 90, np.uint8))
    saved(tmp_path / "large.png", np.full((9, 8, 1), 90, np.uint8))
    saved(tmp_path / "nan.npy", np.full((8, 8, 1), np.nan, np.float32))
    saved(tmp_path / "inf.npy", np.full((8, 8, 1), np.inf, np.float32))
    (tmp_path / "text.png").write_text("a, picture")
    (tmp_path / "far.csv").write_text("0,7\n0,8\n")
    (tmp_path / "date.csv").write_text("0,2020_01_01\n")
    saved(tmp_path / "first.npy", np.zeros((1, 8, 7), np.float32))
    (tmp_path / "wide.csv").write_text("0,0,1,2,3\n")
    before = set(trained.iterdir())
    (line,) = sde_jax("restore", "--workdir", trained, *flags).problems
    assert problem in line
    assert set(trained.iterdir()) == before


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--truth=modell"], "--truth=modell: did you mean model?"),
        (["--num_examples=1"], "--num_examples=1: expected 2 or more"),
        (["--num_examples=298"], "this run's data hold out 297; or take --truth model"),
        (["--task=blur"], "--task=blur: no such task; did you mean deblur?"),
    ],
)
def test_calibration_that_cannot_be_had_is_refused_in_a_line(flags, problem, trained, sde_jax):
    (line,) = sde_jax("calibrate", "--workdir", trained, "--task=inpaint", *flags).problems
    assert problem in line


def test_runs_that_are_no_prior_of_images_are_refused():
    with pytest.raises(InputError, match="expected a run of images"):
        Request("inpaint").setting(Record(Experiment(), (2,), None))
    hearing = Experiment(network=MLP(condition=Channels(1)))
    with pytest.raises(InputError, match=r"hears a degraded image: expected a prior, or Model\.restore"):
        Request("inpaint").setting(Record(hearing, (8, 8, 1), 17))


def test_several_problems_are_told_at_once():
    with pytest.raises(InputError, match=r"--task=x.*\n--noise=-1.*\n--num_samples=0.*\n--batch_size=0"):
        Request("x", noise=-1.0, num_samples=0, batch_size=0).setting(GREY)


HALF = np.tile(np.array([[[0], [1]]]), (8, 4, 1))
MASKS = {
    "picture": ("mask.png", np.uint8(255 * HALF)),
    "coloured picture": ("mask.png", np.uint8(255 * HALF.repeat(3, -1))),
    "black and white": ("mask.png", Image.fromarray(HALF[..., 0] == 1)),
    "bool": ("mask.npy", HALF == 1),
    "flat bool": ("mask.npy", HALF[..., 0] == 1),
    "numbers": ("mask.npy", HALF.astype(float)),
}


def masked(path, mask):
    mask.save(path) if isinstance(mask, Image.Image) else saved(path, mask)
    return Request("inpaint", Choices(mask=path)).setting(GREY).task


@pytest.mark.parametrize("kind", MASKS)
def test_a_known_pixel_is_white_or_true(tmp_path, kind):
    name, mask = MASKS[kind]
    task = masked(tmp_path / name, mask)
    np.testing.assert_array_equal(task.observed, HALF == 1)
    np.testing.assert_array_equal(task.unknown, HALF == 0)


@pytest.mark.parametrize(
    ("name", "mask", "said"),
    [
        (
            "mask.png",
            np.uint8(128 + 0 * HALF),
            "64 of 64 values are neither end (128): expected 0 (black, hidden) and 255",
        ),
        ("mask.png", np.uint8(HALF), "32 of 64 values are neither end (1): expected 0 (black, hidden) and 255 (white"),
        ("mask.png", np.uint8(255 * HALF * [1, 1, 0]), "coloured: expected black and white"),
        ("mask.npy", 255 * HALF, "neither end (255): expected 0 (hidden) and 1 (known), or bool"),
        ("mask.npy", HALF / 2, "neither end (0.5)"),
        ("mask.npy", np.where(HALF, 1, np.nan), "neither end (nan)"),
        ("mask.npy", HALF.T, "1 x 8 pixels: expected 8 x 8"),
        ("mask.npy", HALF.repeat(2, -1), "8 x 8 pixels: expected 8 x 8"),
        ("mask.npy", np.ones((2, 8, 8, 1)), "2 x 8 x 8 x 1 pixels: expected 8 x 8"),
        ("mask.png", Image.fromarray(np.uint8(255 * HALF * [1, 1, 1, 1]), "RGBA"), "the mode RGBA"),
    ],
)
def test_a_mask_that_says_neither_known_nor_hidden_is_refused(tmp_path, name, mask, said):
    with pytest.raises(InputError) as raised:
        masked(tmp_path / name, mask)
    assert said in str(raised.value)
    assert "mask." in str(raised.value)


def test_how_many_pixels_are_known_and_hidden_is_said(restored, run, tmp_path, sde_jax):
    facts = json.loads(restored.with_suffix(".json").read_text())
    assert (facts["known_pixels"], facts["hidden_pixels"]) == (48, 16)
    mask = saved(tmp_path / "mask.png", np.uint8(255 * HALF))
    values = np.full((8, 8, 1), 3, np.float32)
    values[0, :3] = np.nan  # of which the mask knows one
    given = saved(tmp_path / "y.npy", values)
    outcome = sde_jax("restore", "--workdir", run, "--task=inpaint", "--mask", mask, "--input", given, *FEW).done()
    lines = dict(line.split(maxsplit=1) for line in outcome.out.splitlines())
    assert (lines["known_pixels"], lines["hidden_pixels"]) == ("31", "33")


@pytest.mark.slow
def test_colours_are_found_for_a_grey_picture(tmp_path, sde_jax):
    (tmp_path / "images").mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), np.uint8)):
        saved(tmp_path / "images" / f"{i}.png", image)
    data = ["--config.data=Images", "--config.data.held_out_per_class=2", f"--config.data.path={tmp_path / 'images'}"]
    run, grey = tmp_path / "run", saved(tmp_path / "grey.png", np.full((8, 8, 1), 99, np.uint8))
    sde_jax("train", *sde_jax.tiny, *data, "--config.training.steps=2", "--workdir", run).done()
    sde_jax("restore", "--workdir", run, "--task=colorize", "--input", grey, "--method=PiGDM", *FEW).done()
    with np.load(run / "restored_colorize.npz") as arrays:
        assert arrays["members"].shape == (3, 8, 8, 3)
        assert arrays["measurement"].shape == (8, 8, 1)
        np.testing.assert_allclose(arrays["measurement"], -1 + (99 + 0.5) / 128, atol=1e-5)
