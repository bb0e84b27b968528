"""Numbers and settings as rows of text."""

import json
import math
from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from sde_jax.errors import InputError


class Row(TypedDict):
    """One setting: its name and text, or the rows within it."""

    name: str
    text: str
    rows: "list[Row] | None"


def summary_row(row: tuple[str, str | int | float, str]) -> dict[str, str]:
    """The row of a summary as text. Raises InputError where it is no (name, finite value, explanation)."""
    if not isinstance(row, tuple | list) or len(row) != 3:
        raise InputError(f"the summary has the row {row!r}; expected (name, value, explanation)")
    name, value, explanation = row
    where = f"the summary's {name!r}"
    text = _scalar_text(where, value)
    if isinstance(value, float | np.floating):
        text = f"{value:.4g}"
    elif isinstance(value, int | np.integer) and not isinstance(value, bool):
        text = f"{value:,}"
    return {"name": name, "value": text, "explanation": explanation}


def _scalar_text(where: str, value: object) -> str:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, str):
        return value
    if not isinstance(value, bool | int | float | None):
        raise InputError(f"{where} is a {type(value).__name__}; expected a string, a number, a truth value or None")
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{where} is {value}; expected a finite number, or words")
    return json.dumps(value)


def setting_rows(where: str, settings: Mapping[str, object]) -> list[Row]:
    """Nested settings as rows. Raises InputError, naming the setting, where one is no finite number or words."""
    return [_setting_row(f"{where}.{name}", str(name), value) for name, value in settings.items()]


def _setting_row(where: str, name: str, value: object) -> Row:
    if isinstance(value, Mapping) and value:
        return {"name": name, "text": "", "rows": setting_rows(where, value)}
    if isinstance(value, Mapping):
        return {"name": name, "text": "{}", "rows": None}
    if not isinstance(value, list | tuple):
        return {"name": name, "text": _scalar_text(where, value), "rows": None}
    if any(isinstance(item, Mapping | list | tuple) for item in value):
        return {
            "name": name,
            "text": "",
            "rows": [_setting_row(f"{where}.{i}", str(i), item) for i, item in enumerate(value)],
        }
    items = ", ".join(_scalar_text(f"{where}.{i}", item) for i, item in enumerate(value))
    return {"name": name, "text": f"[{items}]", "rows": None}
