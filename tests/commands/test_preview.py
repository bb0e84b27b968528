import numpy as np
import pytest
from PIL import Image

from sde_jax import nn
from sde_jax.commands import preview
from sde_jax.commands.pictures import picture
from sde_jax.commands.preview import Previews, last_previews
from sde_jax.commands.workdir import Workdir
from sde_jax.errors import InputError, RunError
from sde_jax.experiment import Experiment, Training
from sde_jax.training import Books, Clock, Preview, data_mesh, read_books


def previews_of(folder, clock=None) -> Previews:
    workdir = Workdir(folder)
    record = workdir.read_record()
    apply, _ = nn.abstract(record.experiment.network, record.shape)
    return Previews(record, apply, data_mesh(), workdir, clock or Clock())


def test_a_preview_is_the_samples_that_the_command_draws(run, state_of, sde_jax):
    seed = Workdir(run).read_record().experiment.seed
    sde_jax("sample", "--workdir", run, "--sampler=ode", "--num_samples=16", "--seed", seed).done()
    with np.load(run / "samples_ode.npz") as drawn:
        expected = picture(Workdir(run).read_record(), drawn["samples"])
    np.testing.assert_array_equal(np.asarray(previews_of(run).draw(state_of(run))), np.asarray(expected))


def test_a_preview_is_a_file_a_picture_of_the_books_and_time_of_its_own(run, state_of):
    clock, shown = Clock(), []
    previews, state = previews_of(run, clock), state_of(run)
    with Books(run, 12, clock) as books:
        books.picture = lambda step, name, pixels: shown.append((step, name, pixels))
        previews.make(state, books)
        compiled = clock.seconds["compile"]
        previews.make(state, books)
    assert clock.seconds["compile"] == compiled > 0
    assert clock.seconds["evaluation"] > 0
    with Image.open(run / "previews" / "step_12.png") as picture:
        pixels = np.asarray(picture)
    assert [(step, name) for step, name, _ in shown] == [(12, "preview")] * 2
    for _, _, again in shown:
        np.testing.assert_array_equal(again[..., 0], pixels)


def test_the_last_previews_come_back_in_order_of_their_steps(run):
    for step in (2, 4, 10, 8):
        Workdir(run).write(
            f"previews/step_{step}.png", lambda file, step=step: Image.new("L", (2, 3), step).save(file, format="png")
        )
    found = last_previews(Workdir(run), 3)
    assert {step: (pixels.shape, pixels[0, 0, 0]) for step, pixels in found.items()} == {
        step: ((3, 2, 1), step) for step in (4, 8, 10)
    }
    assert list(found) == [4, 8, 10]


def test_a_sampler_that_fails_is_told_and_no_more(run, state_of, monkeypatch, capfd):
    def fails(self, state):
        raise RunError("it did not reach its tolerance")

    monkeypatch.setattr(Previews, "draw", fails)
    with Books(run, 12) as books:
        previews_of(run).make(state_of(run), books)
    assert "no preview of step 12: it did not reach its tolerance" in capfd.readouterr().out
    assert not (run / preview.FOLDER).exists()


def test_previews_are_drawn_on_the_way_and_change_nothing(trained, tmp_path, sde_jax, state_of):
    run = tmp_path / "run"
    settings = ["--config.training.preview.every=4", "--config.training.preview.count=4"]
    sde_jax("train", *sde_jax.tiny, *settings, "--workdir", run).done()
    assert sorted(path.name for path in (run / "previews").iterdir()) == ["step_12.png", "step_4.png", "step_8.png"]
    assert [row["loss"] for row in read_books(run)] == [row["loss"] for row in read_books(trained)]
    assert read_books(run)[-1]["share_evaluation"] > 0
    sde_jax("report", "--workdir", run).done()
    page = (run / "report.html").read_text()
    assert page.count("Samples while it trained, step") == 3


def test_a_preview_of_no_sampler_of_the_run_or_between_rows_is_refused():
    with pytest.raises(InputError, match=r"training\.preview\.sampler = 'x': expected one of pc, ode"):
        Experiment(training=Training(preview=Preview("x", every=50)))
    with pytest.raises(InputError, match=r"preview\.every = 75: expected a multiple of log_every = 50"):
        Training(preview=Preview(every=75))
    Experiment(training=Training(preview=Preview("x", every=0)))
