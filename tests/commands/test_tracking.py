import sys
from types import ModuleType, SimpleNamespace

from sde_jax.training import read_books


def test_a_service_follows_a_run(tmp_path, sde_jax, monkeypatch):
    logged, service = [], ModuleType("wandb")
    service.__spec__ = SimpleNamespace(name="wandb", loader=None)
    service.Image = None
    service.errors = SimpleNamespace(Error=RuntimeError)
    service.init = lambda **settings: SimpleNamespace(
        log=lambda values, step: logged.append((step, values["loss"])),
        finish=lambda exit_code: logged.append(exit_code),
    )
    monkeypatch.setitem(sys.modules, "wandb", service)
    sde_jax("train", *sde_jax.tiny, "--config.training.tracker=WandB", "--workdir", tmp_path).done()
    assert logged == [*((row["step"], row["loss"]) for row in read_books(tmp_path)), 0]


def test_a_service_that_is_not_installed_is_told_before_anything_is_made(tmp_path, sde_jax, monkeypatch):
    monkeypatch.setattr("sde_jax.training.tracker.find_spec", lambda name: None)
    run = tmp_path / "run"
    (line,) = sde_jax("train", *sde_jax.tiny, "--config.training.tracker=WandB", "--workdir", run).problems
    assert "pip install 'sde-jax[wandb]'" in line
    assert not run.exists()
