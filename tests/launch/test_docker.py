"""The Dockerfile, read as instructions; its shell is run with a `python` that says what it is asked."""

import json
import re
import subprocess
from fnmatch import fnmatch

import pytest


@pytest.fixture(scope="module")
def instructions(repository) -> list[tuple[str, str]]:
    text = (repository / "launch" / "Dockerfile").read_text()
    lines = re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", text)).splitlines()
    return [(line.split()[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


@pytest.fixture(scope="module")
def let_in(repository):
    """Whether .dockerignore gives a path of the repository to the build: the last line that matches decides."""
    lines = (repository / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]

    def given(path: str) -> bool:
        verdict = True
        for pattern in patterns:
            if any(fnmatch(part, pattern.lstrip("!")) for part in (path, path.split("/")[0])):
                verdict = pattern.startswith("!")
        return verdict

    return given


def test_everything_that_is_copied_is_there_and_is_given_to_the_build(instructions, repository, let_in):
    sources = [source for name, rest in instructions if name == "COPY" for source in rest.split()[:-1]]
    assert len(sources) > 8
    for source in sources:
        assert (repository / source).exists(), source
        assert let_in(source), source


@pytest.mark.parametrize("path", [".git", ".venv", "runs", "tests", "docs", ".jax_cache", "build", "anything"])
def test_nothing_else_is_given_to_the_build(let_in, path):
    assert not let_in(path)


def test_the_container_is_not_root_and_is_sde_jax_itself_so_that_signals_reach_it(instructions):
    final = dict(instructions)  # of several of one name, the last
    assert final["USER"] == "1000:1000"
    assert json.loads(final["ENTRYPOINT"]) == ["sde-jax"]


@pytest.mark.parametrize(
    ("accelerator", "lock"),
    [
        ("cpu", "requirements.lock"),
        ("cuda", "launch/requirements-cuda.lock"),
        ("tpu", "launch/requirements-tpu.lock"),
        ("rocm", None),
    ],
)
def test_each_accelerator_installs_its_lock_file_with_hashes(instructions, repository, accelerator, lock):
    (install,) = [rest for name, rest in instructions if name == "RUN" and "--require-hashes" in rest]
    shell = f'python() {{ echo "$*"; }}\n{install}'
    ended = subprocess.run(["sh", "-c", shell], env={"ACCELERATOR": accelerator}, capture_output=True, text=True)
    if lock is None:
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == "ACCELERATOR=rocm: expected cpu, cuda or tpu\n"
    else:
        assert ended.stdout == f"-m pip install --no-cache-dir --require-hashes -r {lock}\n"


@pytest.mark.parametrize("lock", ["launch/requirements-cuda.lock", "launch/requirements-tpu.lock"])
def test_an_accelerator_changes_no_version_of_the_lock_file(repository, lock):
    def pins(name: str) -> set[str]:
        return set(re.findall(r"(?m)^[\w.-]+==\S+", (repository / name).read_text()))

    added = {pin.split("==")[0] for pin in pins(lock) - pins("requirements.lock")}
    assert pins("requirements.lock") <= pins(lock)
    assert added
    assert all(name == "libtpu" or name.startswith(("nvidia-", "jax-cuda")) for name in added)
