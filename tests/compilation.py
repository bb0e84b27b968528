"""How tests compile: without XLA's optimisations, and each program once."""

import ctypes
import gc
import os
from pathlib import Path

import jax
import pytest

LARGE = 1_200_000_000
"""Bytes of memory at which a process of tests forgets what it has compiled."""


def configure(config: pytest.Config, cache: Path) -> None:
    """Keep what is compiled for the next test, where the commands keep theirs, and compile without optimisations.

    JAX does not write a program at once: who reads one half written compiles it again.
    """
    config.addinivalue_line("filterwarnings", "ignore:Error (reading|writing) persistent compilation cache entry")
    os.environ["XDG_CACHE_HOME"] = str(cache)
    if jax.config.values["jax_compilation_cache_dir"] is None:
        jax.config.update("jax_compilation_cache_dir", str(cache / "sde_jax" / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    optimise(False)


def optimise(yes: bool) -> None:
    """Compile with XLA's optimisations or without, in this process and in those it starts."""
    jax.config.update("jax_disable_most_optimizations", not yes)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = str(int(not yes))
    jax.clear_caches()


def forget_where_large() -> None:
    """Let go of all programs where this process holds more than `LARGE`, and of the memory they leave free."""
    if _resident() > LARGE:
        jax.clear_caches()
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc, which keeps what is freed
        if trim is not None:
            trim(0)


def _resident() -> int:
    """The bytes of memory that this process holds; 0 where the system does not say."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if pages.exists() else 0
