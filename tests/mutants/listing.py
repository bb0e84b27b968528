"""The mutants, all of them."""

from dataclasses import replace

from tests.mutants.listed import inference, paths, sampling, training
from tests.mutants.mutant import Mutant

EQUIVALENT: dict[str, str] = {
    "sde/path:bisection-end": "the bisection ends where both ends are one number, or neighbours",
}
"""Mutants that change no result, and why."""

MUTANTS: list[Mutant] = [
    replace(mutant, equivalent=EQUIVALENT.get(mutant.name, ""))
    for part in (paths, sampling, inference, training)
    for mutant in part.MUTANTS
]
