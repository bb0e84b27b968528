"""What one process finds out and all processes then do."""

import itertools
import json
from collections.abc import Callable
from typing import Any

from sde_jax.errors import InputError
from sde_jax.processes import job

WAIT = 3600 * 1000
"""Milliseconds that process 0 has to find out: it may read checkpoints of many gigabytes."""
_rounds = itertools.count()


def agreed(find: Callable[[], Any]) -> Any:
    """Return what `find` returns on process 0, a value of JSON, on every process; it is called on that one alone.

    Every process calls this equally often. An `InputError` or an `OSError` there is an `InputError` on all of them, so
    that none goes on alone.
    """
    found = _outcome(find) if job.is_first() else {}
    if job.count() > 1:
        store, place = job.store(), f"sde_jax/agreed/{next(_rounds)}"
        if found:
            store.key_value_set(place, json.dumps(found))
        found = json.loads(store.blocking_key_value_get(place, WAIT))
    if "problem" in found:
        raise InputError(found["problem"])
    return found["value"]


def _outcome(find: Callable[[], Any]) -> dict[str, Any]:
    try:
        return {"value": find()}
    except (InputError, OSError) as error:
        return {"problem": str(error)}
