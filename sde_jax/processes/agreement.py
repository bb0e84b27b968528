"""What all processes must have in common before they work together."""

import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from sde_jax.errors import InputError
from sde_jax.processes import job

SHOWN = 8
"""Differences told; more are counted."""
WAIT = 600 * 1000
"""Milliseconds that the others have to say theirs: one may read its data from a slower disk."""
_rounds = itertools.count()
Said = TypeVar("Said")


class DisagreementError(InputError):
    """The processes were started differently. All of them raise it, with one message."""


def require_same(values: Mapping[str, str]) -> None:
    """Raise `DisagreementError`, on every process, unless `values` are the same on all: config, code, seed, step, ...

    Every process calls it equally often. The message names the odd ones, a line each: "process 1 of 2:
    config.training.batch_size = 32, elsewhere 16". One process alone agrees with itself.
    """
    if job.count() == 1:
        return
    store, place = job.store(), f"sde_jax/same/{next(_rounds)}"
    store.key_value_set(f"{place}/{job.index()}", json.dumps(dict(values)))
    if job.is_first():
        said = [json.loads(store.blocking_key_value_get(f"{place}/{i}", WAIT)) for i in range(job.count())]
        store.key_value_set(f"{place}/verdict", json.dumps(differences(said)))
    lines = json.loads(store.blocking_key_value_get(f"{place}/verdict", WAIT))
    if lines:
        rest = [f"and {len(lines) - SHOWN} further differences"] if len(lines) > SHOWN else []
        advice = "start all processes with the same code and the same command"
        raise DisagreementError("\n".join([*lines[:SHOWN], *rest, advice]))


def first_says(value: Said) -> Said:
    """Return what process 0 says, on every process: its files may look otherwise to the others for a while.

    What it says is JSON-able.
    """
    if job.count() == 1:
        return value
    store, place = job.store(), f"sde_jax/first/{next(_rounds)}"
    if job.is_first():
        store.key_value_set(place, json.dumps(value))
    return json.loads(store.blocking_key_value_get(place, job.FOREVER))


def differences(said: Sequence[Mapping[str, str]]) -> list[str]:
    """Return a line for each name and each value of it that is not the usual one, with the processes that have it.

    `said[i]` is what process i has. The usual value is that of most processes; of equally many, that of the lowest.
    """
    lines = []
    for name in sorted(set().union(*said)):
        values = [values.get(name, "nothing") for values in said]
        usual = Counter(values).most_common(1)[0][0]
        for value in dict.fromkeys(values):
            if value != usual:
                odd = [str(i) for i, v in enumerate(values) if v == value]
                who = f"process{'es' if len(odd) > 1 else ''} {', '.join(odd)} of {len(said)}"
                lines.append(f"{who}: {name} = {value}, elsewhere {usual}")
    return lines
