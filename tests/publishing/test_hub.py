import shutil
import sys
from fnmatch import fnmatch
from pathlib import Path
from unittest import mock

import huggingface_hub
import numpy as np
import pytest

from sde_jax import publishing
from sde_jax.errors import InputError
from sde_jax.publishing import Card

NAME = "someone/digits"


class LocalHub:
    """A directory that stands in for the hub: calls must fit the signatures of huggingface_hub, and move files."""

    def __init__(self, root: Path):
        self.root = root
        self.api = mock.create_autospec(huggingface_hub.HfApi)
        client = self.api.return_value
        client.create_repo.side_effect = self.create
        client.upload_folder.side_effect = self.upload
        client.snapshot_download.side_effect = self.download

    def create(self, repo_id, **_):
        (self.root / repo_id).mkdir(parents=True, exist_ok=True)

    def upload(self, *, repo_id, folder_path, allow_patterns, **_):
        for path in Path(folder_path).iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copyfile(path, self.root / repo_id / path.name)
        return mock.Mock(commit_url=f"hub/{repo_id}/commit/1")

    def download(self, repo_id, *, allow_patterns, **_):
        cached = self.root / "cached" / repo_id
        cached.mkdir(parents=True, exist_ok=True)
        for path in (self.root / repo_id).iterdir():
            if any(fnmatch(path.name, pattern) for pattern in allow_patterns):
                shutil.copyfile(path, cached / path.name)
        return str(cached)


@pytest.fixture
def hub(tmp_path, monkeypatch) -> LocalHub:
    hub = LocalHub(tmp_path / "hub")
    monkeypatch.setattr(huggingface_hub, "HfApi", hub.api)
    return hub


@pytest.fixture
def folder(model, tmp_path) -> Path:
    publishing.save(tmp_path / "mine", model, Card(repository=NAME))
    return tmp_path / "mine"


def refusal(act, *arguments) -> str:
    with pytest.raises(InputError) as raised:
        act(*arguments)
    (line,) = str(raised.value).splitlines()
    return line


def test_a_model_is_pushed_and_pulled_and_is_the_same(hub, folder, tmp_path):
    (folder / "samples.png").write_text("not for the hub")
    assert publishing.push(folder, NAME) == f"hub/{NAME}/commit/1"
    (hub.root / NAME / "extra.bin").write_text("somebody else's")
    publishing.pull(NAME, tmp_path / "theirs", "v1")
    pulled = {path.name: path.read_bytes() for path in (tmp_path / "theirs").iterdir()}
    assert pulled == {name: (folder / name).read_bytes() for name in publishing.FILES}
    client = hub.api.return_value
    assert client.snapshot_download.call_args.kwargs["revision"] == "v1"
    assert client.upload_folder.call_args.kwargs["commit_message"].endswith("step 12")


def test_the_code_on_the_card_of_a_pushed_model_pulls_it(hub, folder, tmp_path, monkeypatch):
    publishing.push(folder, NAME)
    monkeypatch.chdir(tmp_path)
    block = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names = {}
    exec(block, names)
    assert np.isfinite(names["samples"].x).all()
    assert (tmp_path / "model" / "config.json").exists()


def test_a_token_is_the_one_given_or_the_one_that_is_stored(hub, folder):
    publishing.push(folder, NAME, token="hf_given", private=True)
    assert hub.api.call_args.kwargs["token"] == "hf_given"
    assert hub.api.return_value.create_repo.call_args.kwargs["private"] is True
    publishing.push(folder, NAME)
    assert hub.api.call_args.kwargs["token"] is None


def test_a_directory_that_does_not_load_is_not_pushed(hub, folder):
    (folder / "model.safetensors").write_bytes(b"")
    assert "is empty" in refusal(publishing.push, folder, NAME)
    assert not hub.api.return_value.method_calls


def test_a_repository_without_a_model_is_refused_and_leaves_nothing_behind(hub, folder, tmp_path):
    publishing.push(folder, NAME)
    (hub.root / NAME / "model.safetensors").unlink()
    assert f"{NAME}: has no model.safetensors; expected" in refusal(publishing.pull, NAME, tmp_path / "theirs")
    assert not (tmp_path / "theirs").exists()


def test_what_the_hub_says_is_told_in_one_line(hub, folder, tmp_path):
    client = hub.api.return_value
    client.create_repo.side_effect = OSError("401 Client Error.\n\nInvalid token")
    client.snapshot_download.side_effect = ValueError("404\nRepository Not Found")
    assert f"{NAME}: cannot be pushed to (401 Client Error. Invalid token); check" in refusal(
        publishing.push, folder, NAME
    )
    assert f"{NAME}: cannot be pulled (404 Repository Not Found); check" in refusal(
        publishing.pull, NAME, tmp_path / "theirs"
    )
    assert not (tmp_path / "theirs").exists()


@pytest.mark.parametrize("name", ["", "digits", "a/b/c", "a b/c", "https://hub/a/b", "../x/y"])
def test_what_is_no_name_of_a_repository_is_refused_before_the_hub_is_asked(name, hub, folder, tmp_path):
    assert "expected user/name" in refusal(publishing.push, folder, name)
    assert "expected user/name" in refusal(publishing.pull, name, tmp_path / "theirs")
    hub.api.assert_not_called()


def test_without_the_hubs_library_the_extra_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for act in (lambda: publishing.push(folder, NAME), lambda: publishing.pull(NAME, tmp_path / "theirs")):
        assert "pip install 'sde-jax[hub]'" in refusal(act)
    assert publishing.load(folder).step == 12
