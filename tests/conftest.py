import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sde_jax import cli
from sde_jax.checkpoints import FlaxLayout, TorchLayout, official_architecture, to_params
from sde_jax.commands.workdir import Workdir, abstract_state
from sde_jax.nn import abstract
from sde_jax.training import Checkpoints, TrainState, data_mesh
from tests.compilations import counted

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

    def finish(self, process: subprocess.Popen, timeout: float = 300) -> Outcome:
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
        books, deadline = workdir / "metrics.jsonl", time.monotonic() + 120
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


@pytest.fixture(scope="session", autouse=True)
def _cache():
    """Compiled programs and the prepared digits are kept in the repository, out of the user's own cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(REPOSITORY / ".jax_cache"))
        yield


@pytest.fixture(scope="session", autouse=True)
def _heard():
    """Signals are heard by the processes of tests, also where the tests run under nohup or in the background."""
    for number, handler in ((signal.SIGHUP, signal.SIG_DFL), (signal.SIGINT, signal.default_int_handler)):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(scope="session")
def compilations() -> Callable[[], int]:
    """The function that says how many programs this process has compiled."""
    return counted()


@pytest.fixture(scope="session")
def sde_jax_tiny() -> list[str]:
    return TINY


@pytest.fixture
def sde_jax(capfd) -> CommandLine:
    return CommandLine(capfd)


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """The directory of a run that was trained and nothing else; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "trained"
    assert invoke("train", *TINY, "--workdir", folder) == 0
    return folder


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of `trained` that may be changed."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture(scope="session")
def averaged(tmp_path_factory) -> Path:
    """The directory of a run that kept two power function averages every two steps; not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "averaged"
    averages = ["--config.training.average=PowerAverages", "--config.training.average.deviations=0.05,0.1"]
    often = ["--config.training.checkpoint_every=2", "--config.training.keep=9"]
    assert invoke("train", *TINY, *averages, *often, "--workdir", folder) == 0
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of values that the official code recorded (Song et al. 2021)."""
    folder = Path(__file__).parents[1].parent / "shared" / "golden"
    if not folder.is_dir():
        pytest.skip("the recorded values of the official code (../shared/golden) are not here")
    return folder


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
