"""What tells two processes apart that should do the same."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from sde_jax.version import __version__


def fingerprint(config: Mapping[str, Any], step: int) -> dict[str, str]:
    """Return what `require_same` should compare before a run: every setting, the code, and where it would go on.

    config: the run's record as JSON-able data, with the seed in it; step: the one that this process would resume from.
    """
    return {**dict(_settings(config, "config")), "step to go on from": str(step), **versions()}


def versions() -> dict[str, str]:
    """Return the versions of this package and of JAX; of this one with its files, which an edit changes too."""
    return {"code of sde_jax": f"{__version__} ({code_digest()[:12]})", "jax": jax.__version__}


def code_digest() -> str:
    """Return the SHA-256 of the names and contents of the Python files of this package."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(package).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _settings(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, item in value.items():
            yield from _settings(item, f"{where}.{name}")
    else:
        yield where, str(value)
