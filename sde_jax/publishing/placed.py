"""Directories of files that belong together: all of them or none."""

import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from sde_jax.errors import InputError

WEIGHTS, CONFIG, CARD = FILES = ("model.safetensors", "config.json", "README.md")
"""Of a published model."""


@contextmanager
def placed(directory: Path, files: Collection[str] = FILES) -> Iterator[Path]:
    """Yield a new directory that takes the place of `directory` when the block ends, and goes if it raises.

    Raises `InputError` where `directory` is a file, holds anything but `files`, or cannot be written.
    """
    target = directory.expanduser().absolute()
    try:
        require_free(target, files)
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as passing:
            new, old = Path(passing, "new"), Path(passing, "old")
            new.mkdir()
            yield new
            require_free(target, files)
            if target.exists():
                target.rename(old)
            try:
                new.rename(target)
            except OSError:
                if old.exists():
                    old.rename(target)
                raise
    except (OSError, shutil.Error) as error:
        raise InputError(f"{directory}: cannot be written ({error.strerror or error}); choose another place") from error


def require_free(target: Path, files: Collection[str] = FILES) -> None:
    """Raise `InputError` unless a directory is new, empty, or has some of `files` in it alone."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target}: is no directory; choose another place")
    others = sorted(path.name for path in target.iterdir() if path.name not in files) if target.exists() else []
    if others:
        raise InputError(
            f"{target}: holds other things ({', '.join(others[:3])}{', ...' if others[3:] else ''}); "
            f"choose a directory that is new, empty, or holds {', '.join(files)} alone"
        )
