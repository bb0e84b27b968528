"""Nothing is imported before it is needed."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import sde_jax
import sde_jax.report
from sde_jax.commands.start import by_package, import_seconds

REPOSITORY = Path(__file__).parents[1]
COMMAND = "import sys; from sde_jax.cli import main; sys.argv = ['sde-jax', {}]; main()"
LOADED = "import sys, atexit; atexit.register(lambda: print(*sys.modules, sep='\\n', file=sys.__stderr__)); "


def loaded(program: str) -> set[str]:
    """The packages that a new process has imported by the end of a program."""
    command = [sys.executable, "-c", LOADED + program]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert "sde_jax" in done.stderr, done.stderr
    return {name.partition(".")[0] for name in done.stderr.split()}


@pytest.mark.parametrize(
    "arguments",
    [
        "'--help'",
        "'train', '--help'",
        "'sample', '--stepz=3'",
        "'nothing'",
        "'sample', '--workdir=x', '--num_samples=-1'",
    ],
)
def test_help_and_wrong_flags_wait_for_no_jax(arguments):
    assert not loaded(COMMAND.format(arguments)) & {"jax", "numpy", "flax", "tensorflow_datasets"}


def test_the_library_imports_what_is_asked_for_and_nothing_else():
    assert "jax" not in loaded("import sde_jax; dir(sde_jax); sde_jax.__version__")
    assert not loaded("import sde_jax; sde_jax.VP") & {"flax", "diffrax", "orbax", "matplotlib"}


def test_a_training_waits_for_nothing_that_draws_or_prepares_data():
    heavy = {"matplotlib", "jinja2", "sklearn", "pyarrow", "tensorflow", "tensorflow_datasets"}
    assert not loaded("import sde_jax.commands.train, sde_jax.commands.sample, sde_jax.commands.likelihood") & heavy


@pytest.mark.parametrize("package", [sde_jax, sde_jax.report], ids=lambda package: package.__name__)
def test_every_name_of_a_stub_is_there(package):
    assert package.__all__
    for name in package.__all__:
        assert getattr(package, name) is not None
    assert set(dir(package)) == set(package.__all__)
    with pytest.raises(AttributeError):
        _ = package.nowhere


def test_a_function_is_not_hidden_by_the_module_that_bears_its_name():
    module = importlib.import_module("sde_jax.reverse")
    assert sde_jax.reverse is module.reverse


def test_a_packages_time_is_that_of_its_own_modules():
    lines = """import time: self [us] | cumulative | imported package
import time:    200000 |     200000 |     inner.part
import time:    300000 |     500000 |   inner
import time:       100 |     500100 |   outer.part
import time:      1000 |     501100 | outer
"""
    assert by_package(lines) == {"inner": 0.5, "outer": 0.0011}
    assert list(by_package(lines)) == ["inner", "outer"]


def test_the_imports_of_a_new_process_are_measured():
    assert {"jax", "sde_jax"} <= import_seconds("sde_jax.pytree").keys()
