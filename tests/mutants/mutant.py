"""What a mutant is: one wrong change of the mathematics, which some test must notice."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


class StaleError(Exception):
    """A mutant whose text is not in its file exactly once."""


@dataclass(frozen=True)
class Mutant:
    """A change of `file` from `old`, which occurs there exactly once, to `new`.

    name: file and word by which it is asked for; why: what is wrong about it; tests: the files below tests/ that are
    expected to notice; equivalent: why no test can, empty where one must.
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]
    equivalent: str = ""

    def applied(self, tree: Path = REPOSITORY) -> str:
        """Return the file's text with the change; raise `StaleError`, naming the mutant, where it does not apply."""
        text = (tree / self.file).read_text()
        found = text.count(self.old)
        if found != 1 or self.old == self.new:
            raise StaleError(f"{self.name}: {self.old!r} occurs {found} times in {self.file}: expected once")
        return text.replace(self.old, self.new)


def of(file: str, tests: str, *rows: tuple[str, ...]) -> Iterator[Mutant]:
    """Yield the mutants of sde_jax/`file`, each a row (word, old, new, why), or (..., why, its own tests)."""
    for word, old, new, why, *own in rows:
        name = f"{file.removesuffix('.py')}:{word}"
        yield Mutant(name, f"sde_jax/{file}", old, new, why, tuple((own[0] if own else tests).split()))
