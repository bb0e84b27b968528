"""`sde-jax doctor`: what is here and what is missing."""

import importlib.util
import shutil

import jax

from sde_jax.commands.report import environment

OPTIONAL = {
    "notebooks": ("jupyterlab", "the tutorials (pip install 'sde-jax[notebooks]')"),
    "development": ("pytest", "the tests (make test installs it)"),
}


def run() -> int:
    """Print versions, devices and what is missing; return the exit code."""
    for name, value in environment().items():
        print(f"{name:<20} {value}")
    print(f"{'compilation cache':<20} {jax.config.values['jax_compilation_cache_dir'] or 'off'}")
    if jax.default_backend() == "cpu" and shutil.which("nvidia-smi"):
        print("missing: an NVIDIA GPU is here but JAX does not use it (pip install 'sde-jax[cuda]')")
    for module, purpose in OPTIONAL.values():
        if importlib.util.find_spec(module) is None:
            print(f"missing: {module}, for {purpose}")
    return 0
