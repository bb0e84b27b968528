"""What may be meant by a flag that there is not."""

import argparse
import difflib
from collections.abc import Iterator, Sequence
from typing import Any


def meant(unknown: Sequence[str], flags: argparse.Namespace, overridden: bool) -> str:
    """Return advice on the first unknown flag, "" where there is none to give.

    overridden: whether the command takes settings, one of which may bear the flag's name.
    """
    names = [text.split("=")[0].removeprefix("--") for text in unknown if text.startswith("--")]
    if not names:
        return ""
    name = names[0].replace("-", "_")
    settings = _settings(name) if overridden else []
    if settings:
        return f"; did you mean {' or '.join(f'--config.{path}' for path in settings)}?"
    near = difflib.get_close_matches(name, [flag for flag in vars(flags) if flag != "command"], n=2)
    return f"; did you mean {' or '.join(f'--{flag}' for flag in near)}?" if near else ""


def _settings(name: str) -> list[str]:
    """Return the paths of up to three settings of this name, those alone that lie highest."""
    from sde_jax.codec import encode
    from sde_jax.experiment import Experiment

    paths = [path for path in _paths(encode(Experiment())) if path[-1] == name]
    highest = min(map(len, paths), default=0)
    return [".".join(path) for path in paths if len(path) == highest][:3]


def _paths(settings: Any, *above: str) -> Iterator[tuple[str, ...]]:
    for name, value in settings.items() if isinstance(settings, dict) else ():
        if name != "type":
            yield (*above, name)
            yield from _paths(value, *above, name)
