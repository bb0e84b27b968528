"""The Hugging Face hub: published models there and back. Its library is the extra `hub`."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sde_jax.errors import InputError
from sde_jax.publishing.card import require_repository
from sde_jax.publishing.directory import load
from sde_jax.publishing.placed import FILES, placed
from sde_jax.version import __version__


def push(
    directory: str | os.PathLike[str], repository: str, *, token: str | None = None, private: bool | None = None
) -> str:
    """Upload a published model, which is loaded first, to "user/name" on the hub; return the commit's address.

    The repository is made where there is none, `private` or, by default, as the hub does. The token is the one given,
    or that of `hf auth login`. Nothing but the three files is uploaded. Raises `InputError` where the directory
    does not load and where the hub refuses or cannot be reached.
    """
    require_repository(repository)
    model, hub = load(directory), _hub(token)
    with _told(f"{repository}: cannot be pushed to"):
        hub.create_repo(repository, repo_type="model", private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repository,
            repo_type="model",
            folder_path=Path(directory).expanduser(),
            allow_patterns=list(FILES),
            commit_message=f"Model of sde_jax {__version__}, step {model.step}",
        )
    return commit.commit_url


def pull(
    repository: str, directory: str | os.PathLike[str], revision: str | None = None, *, token: str | None = None
) -> None:
    """Download a published model from "user/name" on the hub, at a branch, tag or commit, into a directory.

    The directory is as that of `save`, and is written as a whole or not at all; nothing but the three files is
    downloaded. Raises `InputError` where the repository lacks one of them and where the hub refuses or cannot be
    reached.
    """
    require_repository(repository)
    hub = _hub(token)
    with placed(Path(directory), FILES) as place:
        with _told(f"{repository}: cannot be pulled"):
            found = hub.snapshot_download(repository, repo_type="model", revision=revision, allow_patterns=list(FILES))
        missing = [name for name in FILES if not Path(found, name).is_file()]
        if missing:
            raise InputError(f"{repository}: has no {' and no '.join(missing)}; expected a published model of sde_jax")
        for name in FILES:
            shutil.copyfile(Path(found, name), place / name)


def _hub(token: str | None) -> Any:
    try:
        import huggingface_hub
    except ImportError as error:
        raise InputError("the hub needs huggingface_hub, which is not here; pip install 'sde-jax[hub]'") from error
    return huggingface_hub.HfApi(token=token, library_name="sde_jax", library_version=__version__)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Raise whatever the hub's library raises, of which there are many kinds, as an `InputError` of one line."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{what} ({reason:.300}); check the name, the network, and that `hf auth login` was done"
        ) from error
