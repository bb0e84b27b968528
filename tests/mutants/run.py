"""Mutants put to the tests: each applied in a copy of the tree, in which the tests that should notice it run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory

from tests.mutants.mutant import REPOSITORY, Mutant

LEFT_OUT = shutil.ignore_patterns(".git", ".venv", "runs", "build", "dist", ".jax_cache", ".*_cache", ".hypothesis")
DEFAULT = ("-m", "pytest", "-q", "-x", "--tb=line", "-p", "no:cacheprovider", "-m", "not slow")
PATIENCE = 1200
"""Seconds after which tests are said to hang: many, for a busy machine."""


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: `killed`, `survived`, `equivalent`, or `broken` where no test ran to its end.

    told: the test that noticed, or the last line of what pytest wrote.
    """

    mutant: Mutant
    what: str
    told: str


class RefusedError(Exception):
    """Tests that fail without any mutant, which can tell nothing."""


def put_to_the_tests(mutants: Iterable[Mutant], jobs: int, directories: bool) -> Iterator[Verdict]:
    """Yield the verdict of every mutant, as they come, from so many copies of the tree at a time.

    Of one that its own tests do not notice all the default tests of its package's directory run too where
    `directories`.
    """
    mutants = list(mutants)
    with TemporaryDirectory(prefix="mutants-") as root:
        free: SimpleQueue[Path] = SimpleQueue()
        for n in range(jobs):
            free.put(Path(shutil.copytree(REPOSITORY, Path(root, str(n)), symlinks=True, ignore=LEFT_OUT)))

        def judged(mutant: Mutant) -> Verdict:
            if mutant.equivalent:
                return Verdict(mutant, "equivalent", mutant.equivalent)
            tree = free.get()
            try:
                return _judged(mutant, tree, directories)
            finally:
                free.put(tree)

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(judged, mutants)


def require_passing(mutants: Iterable[Mutant]) -> None:
    """Raise `RefusedError` where the tests of the mutants do not pass as things are."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    code, told = _tested(REPOSITORY, tests)
    if code:
        raise RefusedError(f"the tests do not pass without a mutant: {told}")


def _judged(mutant: Mutant, tree: Path, directories: bool) -> Verdict:
    changed, path = mutant.applied(tree), tree / mutant.file
    text, times = path.read_text(), path.stat()
    path.write_text(changed)
    try:
        code, told = _tested(tree, mutant.tests)
        if code == 0 and directories:
            code, told = _tested(tree, [_directory(mutant, tree)])
    finally:
        path.write_text(text)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # what was compiled of it is valid again
    return Verdict(mutant, {0: "survived", 1: "killed"}.get(code, "broken"), told)


def _directory(mutant: Mutant, tree: Path) -> str:
    """Return the directory of tests of a mutant's package, or its own tests' where there is none."""
    package = Path(mutant.file).parts[1]
    return package if (tree / "tests" / package).is_dir() else mutant.tests[0]


def _tested(tree: Path, tests: Iterable[str]) -> tuple[int, str]:
    """Return pytest's exit status, and what it wrote of the first failure."""
    environment = os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *DEFAULT, *(f"tests/{test}" for test in tests)]
    try:
        done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return -1, f"no end within {PATIENCE} s"
    lines = (done.stdout + done.stderr).splitlines() or [""]
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR"))]
    return done.returncode, (failed or lines[-1:])[0]
