"""The findings of `sde-jax data inspect` as lines."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sde_jax.errors import shown as shown_name

MOST_LINES = 20
_MOST_NUMBERS = 8
_MOST_LABELS = 20


def shown(facts: Mapping[str, Any]) -> str:
    """Return the findings as lines, problems last."""
    return "\n".join(_lines(facts))


def _lines(facts: Mapping[str, Any]) -> Iterator[str]:
    settings = {name: value for name, value in facts["data"].items() if name != "type" and value not in ("", None, [])}
    yield _line("data", f"{facts['data']['type']}({', '.join(f'{k}={v}' for k, v in settings.items())})")
    yield _line("examples", ", ".join(f"{count:,} {split}" for split, count in facts["examples"].items()))
    levels = "real numbers" if facts["levels"] is None else f"{facts['levels']} levels"
    axes = " (height, width, channels)" if len(facts["shape"]) == 3 else ""
    yield _line("an example", f"{'x'.join(map(str, facts['shape']))}{axes} {facts['type']}, {levels}")
    for name in ("least", "most", "mean", "deviation"):
        yield _line(name, _numbers(facts[name]))
    for split, counts in facts["labels"].items():
        if counts and set(counts) != {"none"}:
            yield _line(f"labels, {split}", _counts(counts, {name: k for k, name in facts["classes"].items()}))
    for name in ("repeated", "held_out_in_train", "unreadable"):
        yield _line(name.replace("_", " "), f"{facts[name]:,}")
    yield from _noise(facts["noise"], facts["examples"]["train"])
    yield _line("picture", facts["picture"])
    yield from (_line("note", note) for note in facts["notes"][:MOST_LINES])
    problems = facts["problems"]
    yield _line("wrong", f"{len(problems):,}" if problems else "nothing")
    for problem in problems[:MOST_LINES]:
        yield f"  {problem}"
    if problems[MOST_LINES:]:
        yield f"  and {len(problems) - MOST_LINES:,} more; all are in the JSON"


def _noise(noise: Mapping[str, Any], count: int) -> Iterator[str]:
    bound = noise["sigma_max_bound"]
    for name, value in noise["sigma_max"].items():
        if bound is None:
            how = f"largest distance among {noise['examples_compared']:,} of {count:,} examples: a lower bound"
        elif bound[name] > value:
            how = f"largest distance found; the largest is at most {bound[name]:.4g} (--exact to know)"
        else:
            how = "the largest distance of two examples"
        yield _line("sigma_max", f"{value:.4g} for x_0 in {name}: {how}" if name != "x_0" else f"{value:.4g}: {how}")
    for name, value in noise["sigma_data"].items():
        yield _line("sigma_data", f"{value:.4g}" + (f" for x_0 in {name}" if name != "x_0" else ""))


def _line(name: str, value: str) -> str:
    return f"{name:<18} {value}"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.6g}" for value in values[:_MOST_NUMBERS]) + (", ..." if values[_MOST_NUMBERS:] else "")


def _counts(counts: Mapping[str, int], index: Mapping[str, str]) -> str:
    """Return how often each label occurs, with the index of a class whose name is another text."""
    named = {name: shown_name(name) for name in counts}
    named |= {name: f"{index[name]} ({named[name]})" for name in counts if index.get(name, name) != name}
    some = [f"{named[name]}: {count:,}" for name, count in list(counts.items())[:_MOST_LABELS]]
    return ", ".join(some) + (f", ... ({len(counts)} labels)" if len(counts) > _MOST_LABELS else "")
