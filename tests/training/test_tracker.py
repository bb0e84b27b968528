import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from sde_jax.codec import components
from sde_jax.errors import InputError
from sde_jax.training import Books, Tracker, Untracked, WandB, read_books


class Service(ModuleType):
    """A package in the place of wandb that remembers its calls."""

    def __init__(self, refusal: str = ""):
        super().__init__("wandb")
        self.inits, self.calls, self.refusal = [], [], refusal
        self.errors = SimpleNamespace(Error=RuntimeError)
        self.Image = lambda pixels: ("image", pixels.shape)
        self.__spec__ = SimpleNamespace(name="wandb", loader=None)

    def init(self, **settings):
        if self.refusal:
            raise RuntimeError(self.refusal)
        self.inits.append(settings)
        return SimpleNamespace(
            log=lambda values, step: self.calls.append((step, values)),
            finish=lambda exit_code: self.calls.append(("finish", exit_code)),
        )


@pytest.fixture
def service(monkeypatch):
    service = Service()
    monkeypatch.setitem(sys.modules, "wandb", service)
    return service


def test_a_directory_is_one_run_of_the_service_over_all_starts(tmp_path, service):
    for step in (0, 1):
        tracking = WandB(project="p", mode="offline").open(tmp_path, {"seed": 3})
        with Books(tmp_path, step, tracking=tracking) as books:
            books.write(step + 1, {"loss": 0.5, "by_level": [1.0, None], "unknown": None})
    first, second = service.inits
    assert first == second
    assert {name: first[name] for name in ("project", "mode", "config", "resume", "entity", "dir", "name")} == {
        "project": "p",
        "mode": "offline",
        "config": {"seed": 3},
        "resume": "allow",
        "entity": None,
        "dir": str(tmp_path),
        "name": tmp_path.name,
    }
    assert first["id"] == json.loads((tmp_path / WandB.FILE).read_text())["id"]
    (tmp_path / "other").mkdir()
    WandB().open(tmp_path / "other", {})
    assert service.inits[-1]["id"] != first["id"]


def test_the_service_is_told_what_the_books_are(tmp_path, service):
    with Books(tmp_path, 0, tracking=WandB().open(tmp_path, {})) as books:
        books.write(1, {"loss": 0.5, "by_level": [1.0, None, 3.0], "unknown": None})
        books.picture(1, "preview", np.zeros((2, 3, 3), np.uint8))
    (step, values), picture, end = service.calls
    (row,) = read_books(tmp_path)
    assert step == 1
    assert (values["loss"], values["by_level/0"], values["by_level/2"]) == (0.5, 1.0, 3.0)
    assert values["goodput"] == row["goodput"]
    assert not {"by_level/1", "unknown", "step"} & values.keys()
    assert picture == (1, {"preview": ("image", (2, 3, 3))})
    assert end == ("finish", 0)


def test_the_service_is_told_of_a_failure(tmp_path, service):
    def fails() -> None:
        with Books(tmp_path, 0, tracking=WandB().open(tmp_path, {})):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert service.calls == [("finish", 1)]


def test_a_missing_package_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("sde_jax.training.tracker.find_spec", lambda name: None)
    for ask in (lambda: WandB().require(), lambda: WandB().open(tmp_path, {})):
        with pytest.raises(InputError, match=r"pip install 'sde-jax\[wandb\]'") as raised:
            ask()
        assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_service_that_refuses_is_told_in_one_line(tmp_path, service):
    service.refusal = "no key\nlog in first"
    with pytest.raises(InputError, match=r"WandB: no key log in first; try training\.tracker\.mode=offline"):
        WandB().open(tmp_path, {})


@pytest.mark.parametrize("wrong", [{"mode": "sometimes"}, {"project": ""}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(InputError, match="expected mode online or offline, and a project"):
        WandB(**wrong)


def test_trackers_are_named_in_a_config():
    assert components(Tracker) == {"Untracked": Untracked, "WandB": WandB}


def test_nobody_is_told_of_a_run_that_is_not_tracked(tmp_path):
    Untracked().require()
    with Books(tmp_path, 0, tracking=Untracked().open(tmp_path, {})) as books:
        books.write(1, {"loss": 0.5})
        books.picture(1, "preview", np.zeros((2, 3, 3), np.uint8))
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.jsonl", "history.jsonl", "tensorboard"}


def test_the_real_package_takes_a_run_offline(tmp_path):
    pytest.importorskip("wandb")
    with Books(tmp_path, 0, tracking=WandB(mode="offline").open(tmp_path, {"seed": 3})) as books:
        books.write(1, {"loss": 0.5})
        books.picture(1, "preview", np.zeros((2, 3, 3), np.uint8))
    assert list((tmp_path / "wandb").glob("offline-run-*"))
