"""Files and directories that are there as a whole or not at all, whenever the process that writes them is killed.

Each is made under a passing name beside its own, and renamed last. The passing one is locked while its process lives:
the next that writes the same removes what a dead one left, and never what another is writing.
"""

import errno
import fcntl
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sde_jax.errors import InputError, shown, writing

NEW, OLD = "new", "old"
"""Within the passing directory: what is being made, and what stood in its place."""


def ordinary(location: str | os.PathLike[str]) -> Path:
    """Return the path of a file that can be read to its end: no folder, pipe, socket or device.

    Raises `InputError` for these, which would be read for ever or not at all, and `OSError` where there is nothing.
    """
    path = Path(location)
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = {stat.S_IFDIR: "a directory", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        raise InputError(f"{shown(path)}: {kinds.get(stat.S_IFMT(mode), 'a device')}; expected an ordinary file")
    return path


@contextmanager
def placed_file(target: Path) -> Iterator[Path]:
    """Yield the path of an empty file, which takes the place of `target` when the block ends, and goes if it raises.

    The block writes that file, and does not rename it. Raises `OSError` where it cannot be made.
    """
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
    sweep(target)
    passing, lock = _passing(target, _file)
    try:
        yield passing
        passing.replace(target)
    finally:
        with suppress(OSError):
            passing.unlink()
        os.close(lock)


def require_place(target: Path) -> None:
    """Raise `InputError` unless `placed_file(target)` could be made now, without a trace; its folder is made."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target))
        passing, lock = _passing(target, _file)
        passing.unlink()
        os.close(lock)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{target}: cannot be written ({reason}); choose another place") from error


def require_directory(directory: Path, files: Collection[str] = ()) -> None:
    """Raise `InputError` unless `placed(directory, files)` could be entered now, without a trace."""
    target = directory.expanduser().absolute()
    try:
        require_free(target, files)
        target.parent.mkdir(parents=True, exist_ok=True)
        passing, lock = _passing(target, _folder)
        passing.rmdir()
        os.close(lock)
    except OSError as error:
        raise InputError(f"{directory}: cannot be written ({error.strerror or error}); choose another place") from error


@contextmanager
def placed(directory: Path, files: Collection[str] = ()) -> Iterator[Path]:
    """Yield a new directory that takes the place of `directory` when the block ends, and goes if it raises.

    What a killed process had put aside to replace it is put back first. Raises `InputError` where `directory` is a
    file or holds anything but `files`, and as `errors.writing` does where it cannot be written.
    """
    target = directory.expanduser().absolute()
    with writing(directory):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target)
        require_free(target, files)
        passing, lock = _passing(target, _folder)
        try:
            new, old = passing / NEW, passing / OLD
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
        finally:
            shutil.rmtree(passing, ignore_errors=True)
            os.close(lock)


def require_free(target: Path, files: Collection[str] = ()) -> None:
    """Raise `InputError` unless a directory is new, empty, or has some of `files` in it alone."""
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise InputError(f"{target}: is no directory; choose another place")
    others = sorted(path.name for path in target.iterdir() if path.name not in files) if target.exists() else []
    if others:
        allowed = f"new, empty, or holds {', '.join(files)} alone" if files else "new or empty"
        raise InputError(
            f"{target}: holds other things ({', '.join(map(shown, others[:3]))}{', ...' if others[3:] else ''}); "
            f"choose a directory that is {allowed}"
        )


def sweep(target: Path) -> None:
    """Remove the passing files and directories of `target` whose process is dead; put back what one had set aside."""
    beginning = _beginning(target)
    try:
        left = [path for path in target.parent.iterdir() if path.name.startswith(beginning)]
    except OSError:
        return
    for passing in left:
        with suppress(OSError):
            lock = os.open(passing, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a living process holds it
                if not passing.is_dir():
                    passing.unlink()
                    continue
                if (passing / OLD).exists() and not target.exists():
                    (passing / OLD).rename(target)
                shutil.rmtree(passing, ignore_errors=True)
            finally:
                os.close(lock)


def _beginning(target: Path) -> str:
    return f".{target.name}.partial-"


def _file(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)


def _folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY)


def _passing(target: Path, make: Callable[[Path], int]) -> tuple[Path, int]:
    """Return a new passing file or folder of a target, and the descriptor by which it is locked."""
    while True:
        path = target.with_name(f"{_beginning(target)}{secrets.token_hex(4)}")
        lock, ours = make(path), True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process takes it for a dead one's
            ours = False
        except OSError:
            pass  # a file system without locks, on which nothing is swept either
        if ours and path.exists():
            return path, lock
        os.close(lock)
