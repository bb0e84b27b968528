"""All that is wrong with data that do not open, and what can be read of them nevertheless."""

from contextlib import suppress
from typing import NamedTuple

import numpy as np

from sde_jax.commands.data.image_defects import images
from sde_jax.commands.data.table_defects import table
from sde_jax.data import ArrayFile, Dataset, Images, Scaling, Splits, Table
from sde_jax.data.array_reading import ArrayReader
from sde_jax.data.axes import channels_last
from sde_jax.data.rows import Rows, standardisation
from sde_jax.errors import InputError


class Salvage(NamedTuple):
    """What can be read, all of it under `train`, and what is wrong, a line each."""

    splits: Splits
    problems: list[str]


def salvaged(dataset: Dataset, error: InputError) -> Salvage:
    """Return what can be read of a data set whose `open` raised `error`, which is raised again where nothing can."""
    if isinstance(dataset, Images):
        splits, problems = images(dataset)
    elif isinstance(dataset, ArrayFile):
        splits, problems = _array(dataset)
    elif isinstance(dataset, Table):
        splits, problems = _table(dataset)
    else:
        splits, problems = None, []
    if splits is None:
        raise error
    if str(error) not in problems and not (problems and _is_counted(str(error))):
        problems.append(str(error))
    return Salvage(splits, problems)


def _is_counted(error: str) -> bool:
    """Return whether an error names the first of several that the problems count."""
    return any(
        words in error for words in (" in example ", "as in the first image", "more than skip", " in row ", ": row ")
    )


def _array(dataset: ArrayFile) -> tuple[Splits | None, list[str]]:
    reader = ArrayReader(dataset.path)
    key = dataset.key or (reader.names[0] if len(reader.names) == 1 else "")
    data = reader.data(key)
    with suppress(InputError):
        data = channels_last(data, dataset.axes, "", per_feature=dataset.per_feature)
    wild = np.flatnonzero(~np.isfinite(data).reshape(len(data), -1).all(1))
    problems = [f"{reader.where(key)}: {_some(wild, len(data), 'examples')} hold NaN or infinity; drop them"]
    return (_real(data, wild) if data.dtype.kind == "f" else None), problems if len(wild) else []


def _table(dataset: Table) -> tuple[Splits | None, list[str]]:
    data, problems = table(dataset)
    return None if data is None else _real(data, np.flatnonzero(np.isnan(data).any(1))), problems


def _real(data: np.ndarray, left_out: np.ndarray) -> Splits | None:
    """Return the rows of real numbers but for some, without labels."""
    rows = np.setdiff1d(np.arange(len(data)), left_out)
    if not len(rows):
        return None
    try:
        scaling = standardisation(data, rows, "the array")
    except InputError:  # numbers that are all the same
        scaling = Scaling()
    labels = np.full(len(data), -1, np.int32)
    train, none = (Rows(data, chosen, labels, np.float32) for chosen in (rows, rows[:0]))
    return Splits(train, none, data.shape[1:], None, scaling)


def _some(indices: np.ndarray, total: int, what: str) -> str:
    named = ", ".join(map(str, indices[:8])) + (", ..." if len(indices) > 8 else "")
    return f"{len(indices)} of {total} {what} ({named})"
