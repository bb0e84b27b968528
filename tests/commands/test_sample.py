import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from sde_jax.commands import sample
from sde_jax.commands.workdir import Workdir, load
from sde_jax.sampling import grids


def drawn(base) -> dict[str, np.ndarray]:
    with np.load(base.with_suffix(".npz")) as arrays:
        return dict(arrays)


def test_samples_are_a_picture_arrays_and_numbers(run, sde_jax):
    outcome = sde_jax("sample", "--workdir", run, "--num_samples", 4, "--seed", 3, "--json").done()
    facts = json.loads(outcome.out)
    assert facts == json.loads((run / "samples_pc.json").read_text())
    assert (facts["sampler"], facts["num_samples"], facts["seed"], facts["checkpoint_step"]) == ("pc", 4, 3, 12)
    assert facts["function_evaluations"] == 2 * 4
    assert facts["samples_per_second"] > 0
    arrays = drawn(run / "samples_pc")
    assert (arrays["x"].shape, arrays["x"].dtype) == ((4, 8, 8, 1), np.float32)
    assert (arrays["samples"].shape, arrays["samples"].dtype) == ((4, 8, 8, 1), np.uint8)
    assert arrays["samples"].max() <= 16
    assert arrays["trajectory"].shape == (len(arrays["trajectory_times"]), 4, 8, 8, 1)
    np.testing.assert_array_equal(arrays["trajectory"][-1], arrays["samples"])
    np.testing.assert_allclose(arrays["trajectory_times"][[0, -1]], [1.0, 1e-3], rtol=1e-5)
    with Image.open(run / "samples_pc.png") as picture:
        picture.load()
        assert min(picture.size) >= 8


def test_samples_are_in_the_range_of_the_data_and_its_cells_are_their_grey_levels(tmp_path, sde_jax):
    changes = ["--config.data_range=0,1", "--config.sde=VE", "--config.training.steps=1"]
    sde_jax("train", *sde_jax.tiny, *changes, "--workdir", tmp_path / "run").done()
    sample.run(tmp_path / "run", "pc", 3, 1)
    arrays = drawn(tmp_path / "run" / "samples_pc")
    expected = np.clip(np.floor(arrays["x"] * 17), 0, 16)
    assert np.ptp(expected) > 0
    np.testing.assert_array_equal(arrays["samples"], expected)


def test_the_numbers_are_shown_as_a_table_without_json(run, sde_jax):
    lines = dict(
        line.split(maxsplit=1)
        for line in sde_jax("sample", "--workdir", run, "--num_samples=2").done().out.splitlines()
    )
    assert (lines["sampler"], lines["num_samples"]) == ("pc", "2")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["pc", "ode"])
def test_sample_i_depends_neither_on_the_number_of_samples_nor_on_the_batch(name, run, tmp_path):
    for stem, count, batch_size in (("whole", 4, 64), ("split", 3, 2), ("fewer", 2, 64)):
        sample.run(run, name, count, 1, batch_size, tmp_path / stem)
    whole, split, fewer = (drawn(tmp_path / stem) for stem in ("whole", "split", "fewer"))
    # XLA sums in another order for another batch; the noise and the steps are the same.
    np.testing.assert_allclose(split["x"], whole["x"][:3], atol=1e-4)
    np.testing.assert_allclose(fewer["x"], whole["x"][:2], atol=1e-4)
    np.testing.assert_array_equal(split["evaluations"], whole["evaluations"][:3])
    assert np.unique(whole["x"].round(2), axis=0).shape == whole["x"].shape


def test_the_first_few_of_many_samples_are_filmed(run, tmp_path):
    sample.run(run, "pc", 19, 1, batch_size=4, output=tmp_path / "many")
    arrays = drawn(tmp_path / "many")
    assert len(arrays["samples"]) == 19
    np.testing.assert_array_equal(arrays["trajectory"][-1], arrays["samples"][:16])


def test_samples_are_a_function_of_the_seed(run, tmp_path):
    for stem, seed in (("a", 1), ("b", 1), ("c", 2)):
        sample.run(run, "pc", 2, seed, output=tmp_path / stem)
    a, b, c = (drawn(tmp_path / stem)["x"] for stem in "abc")
    np.testing.assert_array_equal(a, b)
    assert not np.allclose(a, c, atol=0.1)


def test_samples_are_drawn_from_the_averages_of_the_newest_checkpoint(run, state_of, tmp_path):
    model = load(Workdir(run))
    state = state_of(run)
    jax.tree.map(np.testing.assert_array_equal, model.params, state.averages)
    assert model.step == int(state.step) == 12
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(5), i))(np.arange(2))
    sample.run(run, "pc", 2, 5, output=tmp_path / "x")
    expected = sample.drawer(model, "pc")(state.averages, keys)[0].x
    np.testing.assert_allclose(drawn(tmp_path / "x")["x"], expected, atol=1e-4)


@pytest.mark.parametrize(
    ("output", "files"),
    [
        ("out/grid", "out/grid"),
        ("out/grid.png", "out/grid"),
        ("grid.npz", "grid"),
        ("grid.v2", "grid.v2"),
        ("folder", "folder/samples_pc"),
    ],
)
def test_output_may_have_an_ending_be_a_folder_and_be_relative(output, files, run, tmp_path, monkeypatch, sde_jax):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    before = set(run.iterdir())
    sde_jax("sample", "--workdir", run.name, "--num_samples=2", "--output", output).done()
    for ending in (".png", ".npz", ".json"):
        assert (tmp_path / f"{files}{ending}").is_file()
    assert set(run.iterdir()) == before


def test_the_grid_of_the_config_is_the_samplers_grid(trained):
    settings = Workdir(trained).read_record().experiment.samplers["pc"]
    np.testing.assert_allclose(grids.uniform(settings.steps, settings.end)[[0, -1]], [1.0, 1e-3])


def test_an_unknown_sampler_is_refused_with_those_there_are(trained, sde_jax):
    (line,) = sde_jax("sample", "--workdir", trained, "--sampler=pcc").problems
    assert line.startswith("--sampler=pcc: this run has pc, ode, fast; the library has ")


def test_a_function_call_out_of_range_is_refused_as_the_command_is(trained):
    from sde_jax.errors import InputError

    with pytest.raises(InputError, match=r"--sampler=x.*\n--num_samples=0.*\n--batch_size=0"):
        sample.run(trained, "x", 0, 0, 0)


def test_a_solver_that_cannot_reach_its_tolerance_is_an_error_and_no_picture(tmp_path, sde_jax):
    limit = "--config.samplers.ode.solver.tolerance.max_steps=1"
    sde_jax("train", *sde_jax.tiny, limit, "--workdir", tmp_path).done()
    before = set(tmp_path.iterdir())
    outcome = sde_jax("sample", "--workdir", tmp_path, "--sampler=ode", "--num_samples=2")
    assert outcome.code == 3
    (line,) = outcome.err.splitlines()
    assert line.startswith("sde-jax: the probability-flow ODE did not reach rtol=0.05, atol=0.05 within 1 steps")
    assert set(tmp_path.iterdir()) == before


def test_sampling_needs_neither_the_data_nor_the_config_file(run, tmp_path, monkeypatch, sde_jax):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    monkeypatch.chdir(tmp_path)
    moved = shutil.move(run, tmp_path / "moved")
    sde_jax("sample", "--workdir", moved, "--num_samples=2").done()


def test_one_of_several_averages_is_drawn_with_by_its_name(averaged, tmp_path, state_of, sde_jax):
    run = shutil.copytree(averaged, tmp_path / "run")
    facts = json.loads(sde_jax("sample", "--workdir", run, "--num_samples=2", "--average=0.1", "--json").done().out)
    assert facts["average"] == "0.1"
    model = load(Workdir(run))
    keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(0), i))(jax.numpy.arange(2))
    expected = sample.drawer(model, "pc")(state_of(run).averages[1], keys)[0].x
    np.testing.assert_allclose(np.load(run / "samples_pc.0.1.npz")["x"], expected, rtol=1e-4, atol=1e-4)
    assert not (run / "samples_pc.npz").exists()


@pytest.mark.parametrize("command", ["sample", "likelihood"])
def test_an_average_that_is_not_there_is_refused_with_those_that_are(averaged, trained, sde_jax, command):
    (line,) = sde_jax(command, "--workdir", averaged, "--average=0.2").problems
    assert line == "--average=0.2: this run has 0.05, 0.1"
    (line,) = sde_jax(command, "--workdir", trained, "--average=ema").problems
    assert line == "--average=ema: this run has one average alone, without a name"
