"""`sde-jax configs`: the experiments of a folder, what is published of them and what came out here."""

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sde_jax.certificate.table import aligned
from sde_jax.codec import decode
from sde_jax.commands.settings import from_file
from sde_jax.data import Images
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment

FIELDS = ("Hardware", "Published", "Result")
"""What the header of a config says after these words, each up to the next of them."""


@dataclass(frozen=True)
class Row:
    """A config: its file, what its experiment is made of, and what its header says; "" for what is not said."""

    name: str
    data: str
    size: str
    sde: str
    network: str
    published: str
    result: str
    hardware: str


def run(folder: Path, as_json: bool) -> int:
    """Print a table of the configs of a folder, at any depth, as JSON with everything in full; return the exit code.

    Raises `InputError` where there are none, and, after the others are printed, for those that make no experiment.
    """
    rows, problems = [], []
    for path, header in headers(folder):
        try:
            rows.append(row(path.relative_to(folder).with_suffix("").as_posix(), header, experiment_of(path)))
        except InputError as error:
            problems.extend(str(error).splitlines())
    if as_json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    elif rows:
        print(shown(rows))
    if problems:
        raise InputError("\n".join(problems))
    return 0


def headers(folder: Path) -> Iterator[tuple[Path, str]]:
    """Yield the files that define `get_config`, in order, with their docstrings; nothing in them is executed.

    Raises `InputError` where there are none.
    """
    if not folder.is_dir():
        raise InputError(f"--path={folder}: no such folder; expected the configs of a checkout")
    found = False
    for path in sorted(path for path in folder.rglob("*.py") if path.is_file()):
        try:
            tree = ast.parse(path.read_text())
        except (SyntaxError, ValueError):
            continue
        if any(isinstance(node, ast.FunctionDef) and node.name == "get_config" for node in tree.body):
            found = True
            yield path, ast.get_docstring(tree) or ""
    if not found:
        raise InputError(f"--path={folder}: no configs there; expected files that define get_config()")


def experiment_of(path: Path) -> Experiment:
    """Return the experiment of a config file, which is executed; raises `InputError` where it makes none."""
    experiment, problems = decode(Experiment, from_file(path), where=str(path))
    if problems:
        raise InputError("\n".join(problems))
    return experiment


def row(name: str, header: str, experiment: Experiment) -> Row:
    """Return the row of a config with this header."""
    size = re.search(r"\b\d+x\d+\b", header.partition("\n\n")[0])
    said = {field: sentence(header, field) for field in FIELDS}
    data = experiment.data
    return Row(
        name=name,
        data=Path(data.path).stem if isinstance(data, Images) else type(data).__name__,
        size=size.group() if size else "",
        sde=_short(experiment.sde),
        network=type(experiment.network).__name__,
        published=said["Published"],
        result=said["Result"],
        hardware=said["Hardware"],
    )


def sentence(header: str, field: str) -> str:
    """Return what a header says of a field, in one line and without its last full stop."""
    words = "|".join(FIELDS)
    found = re.search(rf"\b{field}: (.*?)(?=\s(?:{words}): |\Z)", header, re.DOTALL)
    return " ".join(found.group(1).split()).removesuffix(".") if found else ""


def shown(rows: list[Row]) -> str:
    """Return the rows as a table, without sources and hardware."""
    columns = ("name", "data", "size", "sde", "network", "published", "result")
    body = [[re.sub(r" \([^()]*\)$", "", getattr(row, column)) for column in columns] for row in rows]
    return aligned([columns, *body])


def _short(sde: Any) -> str:
    numbers = ", ".join(f"{value:g}" for value in vars(sde).values() if isinstance(value, int | float))
    return f"{type(sde).__name__}({numbers})"
