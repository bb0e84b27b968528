"""What a page says about how the training went: where its time went, and what it drew on the way."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from sde_jax.errors import InputError
from sde_jax.report.checks import finite_vector, image_batch


def time_rows(seconds: Mapping[str, float]) -> list[dict[str, str]]:
    """Name, duration and share of each part of a time, the longest first; parts of no time are left out.

    Raises InputError where a part is not a finite number of seconds, 0 or more.
    """
    if not seconds:
        return []
    values = finite_vector("time", list(seconds.values()))
    if values.min() < 0:
        raise InputError(f"time has a part of {values.min():g} seconds; expected 0 or more")
    rows = sorted(zip(seconds, values, strict=True), key=lambda row: -row[1])
    return [
        {"name": name, "text": duration_text(part), "share": f"{100 * part / values.sum():.1f}%"}
        for name, part in rows
        if part > 0
    ]


def duration_text(seconds: float) -> str:
    """A duration in its two largest units, such as "3 h 05 min"; below a minute in seconds, to three digits."""
    if seconds < 59.95:
        return f"{seconds:.3g} s"
    if round(seconds) < 3600:
        return "{} min {:02d} s".format(*divmod(round(seconds), 60))
    if round(seconds / 60) < 24 * 60:
        return "{} h {:02d} min".format(*divmod(round(seconds / 60), 60))
    return "{} d {:02d} h".format(*divmod(round(seconds / 3600), 24))


def preview_pictures(previews: Mapping[str, ArrayLike]) -> list[tuple[str, np.ndarray]]:
    """Each caption with its picture, uint8 [h, w, c]; raises InputError where one is no such array."""
    return [
        (caption, image_batch(f"the preview {caption!r}", np.asarray(picture)[None])[0])
        for caption, picture in previews.items()
    ]
