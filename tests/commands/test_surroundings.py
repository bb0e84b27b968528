"""Machines that lack what others have: a home, a cache that can be written, the devices that were asked for."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest

from sde_jax.cli import compiled
from sde_jax.data import Digits, user_cache

REPOSITORY = Path(__file__).parents[2]
HOMELESS = """
import pwd

def none(*_):
    raise KeyError("there is no such user")

pwd.getpwuid = pwd.getpwnam = none
from sde_jax.cli import main
main()
"""


@pytest.fixture
def homeless(monkeypatch, tmp_path):
    """A user with neither HOME nor an entry among the users, whose temporary files are in a folder of the test's."""
    for name in ("HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: (_ for _ in ()).throw(KeyError(uid)))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(RuntimeError):
        Path.home()
    return tmp_path


def test_a_user_without_a_home_has_a_cache_of_his_own_among_the_temporary_files(homeless):
    assert user_cache() == homeless / f"sde_jax-{os.getuid()}"
    assert user_cache().stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("trap", ["open to all", "a link", "a file"])
def test_a_folder_that_another_may_have_made_is_not_used(homeless, trap):
    place = homeless / f"sde_jax-{os.getuid()}"
    if trap == "open to all":
        place.mkdir()
        place.chmod(0o777)
    elif trap == "a link":
        (homeless / "elsewhere").mkdir(mode=0o700)
        place.symlink_to(homeless / "elsewhere")
    else:
        place.write_text("")
    assert user_cache() != place
    assert user_cache().parent == homeless


def test_a_cache_that_cannot_be_written_is_passed_over(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert user_cache() == tmp_path / f"sde_jax-{os.getuid()}"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "there"))
    assert user_cache() == tmp_path / "there" / "sde_jax"


def test_the_digits_need_no_cache(monkeypatch):
    usual = Digits().open()
    monkeypatch.setattr("sde_jax.data.digits_builder._builder", lambda root: (_ for _ in ()).throw(OSError("full")))
    made = Digits().open()
    for ours, theirs in ((made.train, usual.train), (made.held_out, usual.held_out)):
        assert len(ours) == len(theirs)
        for i in (0, len(ours) - 1):
            assert ours[i].keys() == theirs[i].keys()
            assert all(np.array_equal(ours[i][name], theirs[i][name]) for name in ours[i])
            assert all(np.asarray(ours[i][name]).dtype == np.asarray(theirs[i][name]).dtype for name in ours[i])


@pytest.mark.parametrize("command", ["doctor", "configs"])
def test_commands_run_without_a_home(command, tmp_path):
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", HOMELESS, command], env=environment, capture_output=True, text=True, timeout=900
    )
    assert run.returncode == 0, run
    cache = tmp_path / f"sde_jax-{os.getuid()}"
    assert run.stderr == f"sde-jax: no home directory: no cache can be kept there; {cache} is used\n"


@pytest.mark.parametrize("failure", ["writing", "reading"])
def test_compiled_programs_that_cannot_be_kept_are_told_once_and_the_work_goes_on(failure, capsys):
    with compiled.kept():
        for name in ("jit_step", "jit_other"):
            text = f"Error {failure} persistent compilation cache entry for '{name}': OSError: [Errno 28] No space left"
            warnings.warn(text, stacklevel=1)
    [line] = capsys.readouterr().err.splitlines()
    folder = jax.config.values["jax_compilation_cache_dir"]
    assert line == (
        f"sde-jax: {folder}: {failure} a compiled program failed (OSError: [Errno 28] No space left); "
        "it is compiled again when it is needed"
    )
    with pytest.raises(UserWarning, match="another"), compiled.kept():
        warnings.warn("another", stacklevel=1)


def test_jax_warns_as_we_expect_where_it_cannot_write(tmp_path):
    (tmp_path / "file").write_text("")
    program = "import jax; from sde_jax.cli import compiled\nwith compiled.kept(): print(jax.jit(lambda x: x + 1)(1))"
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": str(tmp_path / "file"), "PYTHONPATH": str(REPOSITORY)}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=900)
    assert (run.returncode, run.stdout) == (0, "2\n")
    [line] = run.stderr.splitlines()
    assert line.startswith(f"sde-jax: {tmp_path / 'file'}: ")


@pytest.mark.parametrize("platforms", ["cuda", "nonsense"])
def test_devices_that_are_not_here_are_one_line(platforms, sde_jax, tmp_path):
    if jax.default_backend() == "gpu" and platforms == "cuda":
        pytest.skip("they are here")
    for command in (["doctor"], ["train", *sde_jax.tiny, "--workdir", tmp_path / "run"]):
        outcome = sde_jax.finish(sde_jax.start(*command, JAX_PLATFORMS=platforms), timeout=900)
        [problem] = outcome.problems
        assert problem.startswith(f"JAX_PLATFORMS = {platforms}: JAX finds no devices (")
    assert not (tmp_path / "run").exists()
