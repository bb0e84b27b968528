"""What a page shows of data that are vectors of real numbers."""

import functools
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from sde_jax.errors import InputError
from sde_jax.report.embedding import diagram
from sde_jax.report.scatter import POINTS_WIDTH, marginals, points, scatter

_MOST_COLUMNS = 8

Points = tuple[ArrayLike, ArrayLike | None]


def point_figures(sets: Mapping[str, Points], names: Sequence[str]) -> list[dict[str, object]]:
    """For each caption its diagrams: points in the plane, or of other than two columns the first 8 distributions.

    sets, names: `points` and `columns` of `Report`. Raises InputError where arrays or names do not fit.
    """
    return [_figure(caption, pair, names) for caption, pair in sets.items()]


def _figure(caption: str, pair: Points, names: Sequence[str]) -> dict[str, object]:
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise InputError(f"the points {caption!r} are no pair; expected (samples, held-out examples or None)")
    samples = points(f"the samples {caption!r}", pair[0])
    d = samples.shape[1]
    held_out = None if pair[1] is None else points(f"the held-out examples {caption!r}", pair[1], d)
    if names and len(names) != d:
        raise InputError(f"columns are {len(names)} names of {d} columns; expected one for each")
    named = tuple(names) or tuple(f"column {i + 1}" for i in range(d))
    against = "" if held_out is None else f" and {len(held_out):,} held-out examples"
    of = f"{len(samples):,} samples{against}"
    if d == 2:
        draw = functools.partial(scatter, samples, held_out, named)
        diagrams = [{**diagram(draw, POINTS_WIDTH), "alt": f"{caption}: {of} in the plane"}]
    else:
        diagrams = [
            {
                **diagram(functools.partial(marginals, samples[:, i], _column(held_out, i), named[i]), POINTS_WIDTH),
                "alt": f"{caption}: distribution of {named[i]} over {of}",
            }
            for i in range(min(d, _MOST_COLUMNS))
        ]
    shown = f", the first {_MOST_COLUMNS} of {d} columns" if d > _MOST_COLUMNS else ""
    return {"caption": f"{caption}: {of}{shown}", "diagrams": diagrams}


def _column(values: np.ndarray | None, index: int) -> np.ndarray | None:
    return None if values is None else values[:, index]
