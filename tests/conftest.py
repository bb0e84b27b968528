import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from sde_jax import cli
from sde_jax.checkpoints import FlaxLayout, TorchLayout, official_architecture, to_params
from sde_jax.commands.workdir import Workdir, abstract_state
from sde_jax.nn import abstract
from sde_jax.training import Checkpoints, TrainState, data_mesh
from tests import compilation

REPOSITORY = Path(__file__).parents[1]
TINY = [
    f"--config={REPOSITORY / 'configs' / 'digits_vp.py'}",
    "--config.network.width=16",
    "--config.network.depth=1",
    "--config.training.steps=12",
    "--config.training.batch_size=16",
    "--config.training.checkpoint_every=4",
    "--config.training.log_every=2",
    "--config.training.optimizer.warmup=2",
    "--config.samplers.pc.steps=4",
    "--config.samplers.ode.solver.tolerance.rtol=0.05",
    "--config.samplers.ode.solver.tolerance.atol=0.05",
    "--config.likelihood.divergence.probes_per_example=1",
    "--config.likelihood.tolerance.rtol=0.05",
    "--config.likelihood.tolerance.atol=0.05",
]
"""The digits, shrunk to seconds."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended, and what it wrote to standard output and standard error."""

    code: int
    out: str
    err: str

    @property
    def problems(self) -> list[str]:
        """The lines on standard error of a command that refused; fails where it did anything else."""
        assert self.code == 2, (self.code, self.out, self.err)
        assert "Traceback" not in self.err
        lines = self.err.splitlines()
        assert lines
        assert all(line.startswith("sde-jax: ") for line in lines), self.err
        return [line.removeprefix("sde-jax: ") for line in lines]

    def done(self) -> "Outcome":
        """The outcome itself, of a command that did what it was asked."""
        assert self.code == 0, (self.code, self.out, self.err)
        return self


class CommandLine:
    """`sde-jax`, in this process or in one of its own."""

    tiny = TINY

    def __init__(self, capfd: pytest.CaptureFixture[str]):
        self._capfd = capfd

    def __call__(self, *arguments: object) -> Outcome:
        """Run a command in this process, where JAX is loaded already."""
        self._capfd.readouterr()
        code = invoke(*arguments)
        return Outcome(code, *self._capfd.readouterr())

    def start(self, *arguments: object, cwd: Path | None = None, **environment: str) -> subprocess.Popen:
        """Run a command in a process of its own."""
        path = os.pathsep.join([str(REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
        return subprocess.Popen(
            [sys.executable, "-m", "sde_jax", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **environment},
            cwd=cwd,
        )

    def finish(self, process: subprocess.Popen, timeout: float = 900) -> Outcome:
        """Wait for a process of `start`; end it where it takes longer."""
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            pytest.fail(f"{process.args} took longer than {timeout} s:\n{out}\n{err}")
        return Outcome(process.returncode, out, err)

    def stop(self, process: subprocess.Popen, number: signal.Signals, workdir: Path, step: int) -> Outcome:
        """Send a signal to a run as soon as it has logged a step; wait for its end."""
        books, deadline = workdir / "metrics.jsonl", time.monotonic() + 900
        while process.poll() is None and time.monotonic() < deadline:
            if books.exists() and f'"step": {step},' in books.read_text():
                process.send_signal(number)
                return self.finish(process)
            time.sleep(0.002)
        process.kill()
        return pytest.fail(f"step {step} was not reached: {process.communicate()}")


def invoke(*arguments: object) -> int:
    """Run the command line in this process; return its exit code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sde-jax", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
    return int(exit.value.code or 0)


def _state_of(workdir: Path) -> TrainState:
    record = Workdir(workdir).read_record()
    with Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        return checkpoints.restore(abstract_state(record, data_mesh()))


@pytest.fixture(scope="session")
def state_of() -> Callable[[Path], TrainState]:
    """The newest saved state of a run's directory."""
    return _state_of


def pytest_configure(config: pytest.Config) -> None:
    """Compiled programs and the prepared digits are kept in the repository, out of the user's own cache."""
    compilation.configure(config, REPOSITORY / ".jax_cache")


@pytest.fixture
def optimized():
    """Programs as a user compiles them, for tests of their bits, their memory or their speed."""
    compilation.optimise(True)
    yield
    compilation.optimise(False)


@pytest.fixture(scope="module", autouse=True)
def _memory():
    """A process that has grown large forgets its programs before it goes on to the next file."""
    yield
    compilation.forget_where_large()


@pytest.fixture(scope="session", autouse=True)
def _heard():
    """Signals are heard by the processes of tests, also where the tests run under nohup or in the background."""
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def compilations() -> Callable[[], int]:
    """How many programs this process has compiled, or read from the cache, since the fixture was first asked for."""
    count = 0

    def listen(event: str, *_: object, **__: object) -> None:
        nonlocal count
        count += event == "/jax/core/compile/backend_compile_duration"

    jax.monitoring.register_event_duration_secs_listener(listen)
    return lambda: count


@pytest.fixture(scope="session")
def sde_jax_tiny() -> list[str]:
    return TINY


@pytest.fixture
def sde_jax(capfd) -> CommandLine:
    return CommandLine(capfd)


@pytest.fixture(scope="session")
def once(tmp_path_factory) -> Callable[[str, Callable[[Path], Path]], Path]:
    """`once(name, make)` is the path that `make` returned to the first process of these tests that asked for the name.

    `make` is given a new directory that all processes of these tests share; the others wait for it.
    """
    root = tmp_path_factory.getbasetemp()
    root = (root.parent if "PYTEST_XDIST_WORKER" in os.environ else root) / "once"
    root.mkdir(exist_ok=True)

    def once(name: str, make: Callable[[Path], Path]) -> Path:
        made = root / f"{name.replace('/', '_')}.path"
        with made.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                made.write_text(str(make(Path(tempfile.mkdtemp(dir=root)))))
        return Path(made.read_text())

    return once


def _trained(folder: Path, *settings: str) -> Path:
    assert invoke("train", *TINY, *settings, "--workdir", folder) == 0
    return folder


@pytest.fixture(scope="session")
def trained(once) -> Path:
    """The directory of a run that was trained and nothing else; not to be changed."""
    return once("trained", lambda root: _trained(root / "trained"))


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of `trained` that may be changed."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="session")
def averaged(once) -> Path:
    """The directory of a run that kept two power function averages every two steps; not to be changed."""
    averages = ["--config.training.average=PowerAverages", "--config.training.average.deviations=0.05,0.1"]
    often = ["--config.training.checkpoint_every=2", "--config.training.keep=9"]
    return once("averaged", lambda root: _trained(root / "averaged", *averages, *often))


@dataclass(frozen=True)
class Golden:
    """Values that the official code recorded (Song et al. 2021); `golden / name` is the path of a file.

    The small ones are in `folder`, the larger networks and the checkpoint in ../shared/golden: without that, a test of
    them is skipped.
    """

    folder: Path = REPOSITORY / "tests" / "recorded"
    larger: Path = REPOSITORY.parent / "shared" / "golden"

    def __truediv__(self, name: str) -> Path:
        for folder in (self.folder, self.larger):
            if (folder / name).exists():
                return folder / name
        return pytest.skip(f"{name}: this recording of the official code is not in ../shared/golden")


@pytest.fixture(scope="session")
def golden() -> Golden:
    """What the official code recorded."""
    return Golden()


@pytest.fixture(scope="session")
def recorded_network(golden):
    """Official networks as ours, by the names of their files.

    Each has its `architecture`, `apply` and `params`, its `layout` and `weights` there, and what it was given and gave
    back: x, t, y, w and grad_x, the gradient of sum(y w); images have their channels last.
    """

    def load(name: str) -> SimpleNamespace:
        recorded = np.load(golden / f"{name}.npz")
        flax = "x_nhwc" in recorded
        config = json.loads(str(recorded["config_json"]))
        architecture = official_architecture(config)
        shape = (config["data.image_size"], config["data.image_size"], config["data.num_channels"])
        apply, params = abstract(architecture, shape)
        layout = FlaxLayout() if flax else TorchLayout()
        weights = {key.removeprefix("param/"): recorded[key] for key in recorded if key.startswith("param/")}
        images = {
            key: recorded[f"{key}_nhwc" if f"{key}_nhwc" in recorded else key] for key in ("x", "y", "w", "grad_x")
        }
        if not flax:
            images = {key: image.transpose(0, 2, 3, 1) for key, image in images.items()}
        return SimpleNamespace(
            architecture=architecture,
            apply=apply,
            params=to_params(architecture, params, weights, layout),
            layout=layout,
            weights=weights,
            t=recorded["t"],
            **images,
        )

    return load


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """Every file below a folder, by name."""
    return lambda folder: {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
