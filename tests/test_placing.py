"""Files and directories are whole or not there, whenever a process dies; the next one clears up after the dead."""

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from sde_jax import placing
from sde_jax.errors import InputError


class KilledError(BaseException):
    """The process is no more."""


class Killer:
    """Ends the process, as far as files can tell, before change number `at` of the file system."""

    NAMES = (("mkdir", Path), ("rename", Path), ("replace", Path), ("unlink", Path), ("rmtree", shutil))

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int):
        self.at, self.done, self.locks = at, 0, []
        for name, owner in self.NAMES:
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))
        lock = fcntl.flock
        monkeypatch.setattr(placing.fcntl, "flock", lambda fd, how: (self.locks.append(fd), lock(fd, how))[1])

    def _counted(self, change):
        def counted(*arguments, **options):
            if self.done >= self.at:
                raise KilledError
            self.done += 1
            return change(*arguments, **options)

        return counted

    def bury(self) -> None:
        """Close what the dead process had open."""
        for fd in self.locks:
            with suppress(OSError):
                os.close(fd)


def write(target: Path, text: str) -> None:
    with placing.placed(target, ("a", "b")) as place:
        (place / "a").write_text(text)
        (place / "b").write_text(text)


def dies(monkeypatch, at: int, work) -> bool:
    with monkeypatch.context() as patch:
        killer = Killer(patch, at)
        try:
            work()
        except KilledError:
            return True
        finally:
            killer.bury()
    return False


def test_a_directory_is_the_old_or_the_new_one_after_a_kill_anywhere_and_the_next_writer_leaves_nothing_else(
    tmp_path, monkeypatch
):
    target, at = tmp_path / "out", 0
    write(target, "old")
    while dies(monkeypatch, at, lambda: write(target, "new")):
        left = {name: (target / name).read_text() for name in ("a", "b")} if target.exists() else None
        assert left in (None, {"a": "old", "b": "old"}, {"a": "new", "b": "new"})
        placing.sweep(target)
        assert {(target / name).read_text() for name in ("a", "b")} in ({"old"}, {"new"})  # never lost
        write(target, "old")
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
        at += 1
    assert at > 5
    assert (target / "a").read_text() == "new"


def test_a_file_is_the_old_or_the_new_one_after_a_kill_anywhere(tmp_path, monkeypatch):
    target, at = tmp_path / "out.json", 0

    def work(text="new"):
        with placing.placed_file(target) as path:
            path.write_text(text)

    work("old")
    while dies(monkeypatch, at, work):
        assert target.read_text() in ("old", "new")
        work("old")
        assert [path.name for path in tmp_path.iterdir()] == ["out.json"]
        at += 1
    assert at > 0
    assert target.read_text() == "new"


def test_what_a_living_process_is_writing_is_left_to_it(tmp_path):
    target = tmp_path / "out"
    with placing.placed_file(target) as first:
        first.write_text("first")
        with placing.placed_file(target) as second:
            second.write_text("second")
        assert target.read_text() == "second"
    assert target.read_text() == "first"
    folder = tmp_path / "folder"
    with placing.placed(folder) as place:
        placing.sweep(folder)
        (place / "a").write_text("a")
    assert (folder / "a").read_text() == "a"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "out"]


def test_what_others_named_alike_is_left_alone(tmp_path):
    others = [tmp_path / name for name in (".out.partial", ".out.backup", ".other.partial-0011aabb", "out.partial-1")]
    for path in others:
        path.write_text("theirs")
    with placing.placed_file(tmp_path / "out") as path:
        path.write_text("ours")
    assert all(path.read_text() == "theirs" for path in others)


@pytest.mark.parametrize("place", ["file/below", "folder", "n" * 300])
def test_a_place_that_cannot_be_written_is_told_before_the_work(tmp_path, place):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"cannot be written \(.*\); choose another place"):
        placing.require_place(tmp_path / place)
    placing.require_place(tmp_path / "new" / "file")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_pipe_a_directory_and_a_device_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a pipe"), (tmp_path, "a directory"), (Path("/dev/zero"), "a device")):
        with pytest.raises(InputError, match=f"{kind}; expected an ordinary file"):
            placing.ordinary(path)
    with pytest.raises(FileNotFoundError):
        placing.ordinary(tmp_path / "nothing")
