"""Compiled programs, kept between runs."""

import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import jax

from sde_jax.data import own_cache, user_cache

FAILURES = r"Error (reading|writing) persistent compilation cache entry for '.*?': (.*)"
"""What JAX warns of."""


@contextmanager
def kept() -> Iterator[None]:
    """Within it JAX keeps what it compiles, in the user's cache directory unless it was told another.

    Where it cannot, a line says so, once, and the work goes on.
    """
    if jax.config.values["jax_compilation_cache_dir"] is None:
        _choose()
    with warnings.catch_warnings():
        warnings.filterwarnings("always", FAILURES)
        show, told = warnings.showwarning, []

        def showwarning(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            failure = re.match(FAILURES, str(message))
            if failure is None:
                show(message, category, filename, lineno, file, line)
            elif not told:
                told.append(failure)
                folder, (what, reason) = jax.config.values["jax_compilation_cache_dir"], failure.groups()
                _warn(f"{folder}: {what} a compiled program failed ({reason}); it is compiled again when it is needed")

        warnings.showwarning = showwarning
        yield


def _choose() -> None:
    wanted = own_cache()
    try:
        cache = user_cache()
    except OSError as error:
        return _warn(f"compiled programs are not kept: {error.strerror}")
    if cache != wanted:
        _warn(f"{wanted or 'no home directory'}: no cache can be kept there; {cache} is used")
    jax.config.update("jax_compilation_cache_dir", str(cache / "compiled"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _warn(text: str) -> None:
    print(f"sde-jax: {' '.join(text.split())}", file=sys.stderr)
