"""The folder in which this package keeps what it can make again."""

import os
import stat
import tempfile
from pathlib import Path


def user_cache() -> Path:
    """Return the folder of this package in the user's cache directory, $XDG_CACHE_HOME or else ~/.cache.

    Where there is none, as for a user without a home, or nothing can be written there, one among the temporary files
    that is this user's alone. Raises `OSError` where there are none either.
    """
    configured = own_cache()
    return configured if configured is not None and _takes_files(configured) else _passing()


def own_cache() -> Path | None:
    """Return where the user's cache directory would be, None for a user without a home."""
    # The XDG specification: a relative path is invalid and to be ignored.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    try:
        return (configured if configured.is_absolute() else Path.home() / ".cache") / "sde_jax"
    except RuntimeError:  # neither HOME nor an entry in the list of users
        return None


def _takes_files(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def _passing() -> Path:
    folder = Path(tempfile.gettempdir()) / f"sde_jax-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        # Anyone can make a folder of this name, and compiled programs are run.
        ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    except OSError:
        ours = False
    return folder if ours else Path(tempfile.mkdtemp(prefix="sde_jax-"))
