"""Whether a run may go on as another record says: the same training, on the same data."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from sde_jax.commands.differences import at, differing
from sde_jax.errors import InputError
from sde_jax.model import Record

SHOWN = 4
FLAG = "--accept_changed_data"


def continued(where: Path, there: Record, record: Record, step: int = 0, accept: bool = False) -> Record:
    """Return the record with which a run that is recorded as `there` goes on as `record` from a step.

    Where both know the contents of their data these decide, and not where the data lie or how they are read. Raises
    `InputError`, naming `where`, unless the training is the same and, where not told to `accept` it, the data are; once
    accepted that stands in the record, and numbers are scaled as before.
    """
    known = there.contents is not None and record.contents is not None
    changes = there.contents.changes(record.contents) if there.contents and record.contents else []
    left_out = ("experiment.data", "scaling")[: known + bool(changes)]
    require_same(where, there, record, left_out)
    if changes and not accept:
        raise InputError(
            f"{where}: the run's data have changed ({'; '.join(changes)}); what was held out may be trained on now: "
            f"put the data back, choose another --workdir, or go on with {FLAG}"
        )
    if not changes:
        return replace(record, contents=record.contents or there.contents, accepted=there.accepted)
    accepted = (*there.accepted, f"step {step}: {'; '.join(changes)}")
    return replace(record, accepted=accepted, scaling=there.scaling)


def require_same(where: Path, there: Record, record: Record, left_out: Collection[str] = ("experiment.data",)) -> None:
    """Raise `InputError`, naming `where`, unless two records are of the same training, but for what is left out."""
    paths = differing(theirs := there.identity(), ours := record.identity())
    named = {".".join(path): path for path in paths}
    other = [
        f"{name} = {at(theirs, path)!r} there, {at(ours, path)!r} here"
        for name, path in named.items()
        if not any(f"{name}.".startswith(f"{part}.") for part in left_out)
    ]
    if other:
        raise InputError(
            f"{where}: holds a run of another config ({', '.join(other[:SHOWN])}{' ...' if other[SHOWN:] else ''}); "
            "choose another --workdir, or remove this one"
        )
