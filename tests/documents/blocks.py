"""The commands and the code of README.md and docs/, as they stand there."""

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
DOCUMENTS = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


@dataclass(frozen=True)
class Block:
    """Lines of code of a document: `language` is that of a fence, "" of none and "indented" without one."""

    document: str
    line: int
    language: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command of a block, its words as a shell would read them, without what redirects its output."""

    document: str
    line: int
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.document}:{self.line} {' '.join(self.words)}"


def blocks(document: Path) -> Iterator[Block]:
    """Yield the fenced and the indented blocks of a document."""
    name, lines = str(document.relative_to(REPOSITORY)), document.read_text().splitlines()
    at = 0
    while at < len(lines):
        fence, start = re.fullmatch(r"```(\w*)", lines[at]), at
        if fence:
            end = lines.index("```", at + 1)
            yield Block(name, at + 2, fence[1], "\n".join(lines[at + 1 : end]))
            at = end
        elif lines[at].startswith("    ") and at and not lines[at - 1]:
            while at < len(lines) and lines[at].startswith("    "):
                at += 1
            yield Block(name, start + 1, "indented", "\n".join(line[4:] for line in lines[start:at]))
        at += 1


def commands(block: Block) -> Iterator[Command]:
    """Yield the commands of a block of shell: variables of the block and lines continued by a backslash are put in."""
    variables: dict[str, str] = {}
    joined, line = "", block.line
    for number, text in enumerate(block.text.splitlines(), block.line):
        line = number if not joined else line
        joined += text.removesuffix("\\")
        if text.endswith("\\"):
            continue
        assigned = re.fullmatch(r'(\w+)="(.*)"', joined)
        if assigned:
            variables[assigned[1]] = assigned[2]
        else:
            for name, value in variables.items():
                joined = joined.replace(f"${name}", value)
            words = shlex.split(joined, comments=True)
            for both, one in itertools.groupby(words, lambda word: word == "&&"):
                if not both:
                    yield Command(block.document, line, tuple(itertools.takewhile(lambda word: word != ">", one)))
        joined = ""


ALL = [block for document in DOCUMENTS for block in blocks(document)]
SHELL = [b for b in ALL if b.language == "sh" or (b.language == "indented" and not b.text[:1].isdigit())]
PYTHON = [block for block in ALL if block.language == "python"]
COMMANDS = [command for block in SHELL for command in commands(block)]
SPANS = [
    shlex.split(span.replace("\n", " "))
    for document in DOCUMENTS
    for span in re.findall(r"`(sde-jax [^`]*)`", document.read_text())
]
"""Commands within sentences: some of them stand for what is said of them, as `sde-jax doctor --config ...`."""
