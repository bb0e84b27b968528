"""Do the tests notice when the mathematics is wrong? `python -m tests.mutants`, hours on two cores: a nightly run."""

import argparse
import sys
from collections import Counter

from tests.mutants.listing import MUTANTS
from tests.mutants.mutant import Mutant, StaleError
from tests.mutants.run import RefusedError, put_to_the_tests, require_passing

LEAST = 0.95
"""The share of mutants, without equivalent ones, that tests must kill."""


def main(arguments: list[str] | None = None) -> int:
    """Run the mutants asked for, print a line for each and the sum; return 1 where fewer than `LEAST` are killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="mutants, or the beginnings of their names")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="how many at a time (1)")
    parser.add_argument("--named", action="store_true", help="the named tests alone, not their directory's besides")
    parser.add_argument("--trust", action="store_true", help="do not look first whether the tests pass without mutants")
    parser.add_argument("--list", action="store_true", help="print the mutants and run nothing")
    asked = parser.parse_args(arguments)
    try:
        mutants = _chosen(asked.only)
        for mutant in mutants:
            mutant.applied()
        if asked.list:
            print(*(f"{mutant.name}  {mutant.why}" for mutant in mutants), sep="\n")
            return 0
        if not asked.trust:
            require_passing(mutants)
    except (StaleError, RefusedError) as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    counts: Counter[str] = Counter()
    for verdict in put_to_the_tests(mutants, max(1, asked.jobs), not asked.named):
        counts[verdict.what] += 1
        print(f"{verdict.what:10}  {verdict.mutant.name:40}  {verdict.told}", flush=True)
    judged = counts.total() - counts["equivalent"]
    print(f"{counts['killed']} of {judged} killed, {counts['equivalent']} equivalent, {counts['broken']} broken")
    return int(counts["killed"] < LEAST * judged)


def _chosen(names: list[str] | None) -> list[Mutant]:
    if names is None:
        return MUTANTS
    unknown = [name for name in names if not any(mutant.name.startswith(name) for mutant in MUTANTS)]
    if unknown:
        raise RefusedError(f"no mutant is called {', '.join(unknown)}: see --list")
    return [mutant for mutant in MUTANTS if mutant.name.startswith(tuple(names))]


if __name__ == "__main__":
    sys.exit(main())
