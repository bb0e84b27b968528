"""The card of a published model: what it is, how to use it, what was measured, what it cannot do."""

import functools
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import jax
import jinja2
import numpy as np

from sde_jax.errors import InputError
from sde_jax.model import Model
from sde_jax.version import __version__

TAGS = ("score-based-generative-modelling", "diffusion", "stochastic-differential-equations", "jax")


@dataclass(frozen=True)
class Card:
    """What a model does not know of itself.

    license: its identifier on the hub, such as "apache-2.0"; "other" says that none was given.
    title: one line. description, limitations: Markdown, added to what the model says.
    numbers: (name, value, explanation) of what was measured, in reading order.
    repository: "user/name" on the hub, where it is to be found there.

    Raises `InputError` where a line of text is none, or a number is not finite.
    """

    license: str = "other"
    title: str = "A score-based generative model"
    description: str = ""
    limitations: str = ""
    numbers: Sequence[tuple[str, str | int | float, str]] = ()
    repository: str = ""

    def __post_init__(self):
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", self.license):
            raise InputError(f"license = {self.license!r}: expected an identifier of small letters, such as apache-2.0")
        if not self.title.strip() or not self.title.isprintable():
            raise InputError(f"title = {self.title!r}: expected one line of text")
        if self.repository:
            require_repository(self.repository)
        wild = [name for name, value, _ in self.numbers if isinstance(value, float) and not math.isfinite(value)]
        if wild:
            raise InputError(f"numbers: {wild[0]} is not finite; leave it out, or say so in words")


def require_repository(name: str) -> None:
    """Raise `InputError` unless this can be the name of a repository."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII):
        raise InputError(f"{name!r} is no repository on the hub; expected user/name")


def written(card: Card, model: Model) -> str:
    """Return the card of a model as Markdown, with the hub's YAML on top."""
    experiment = model.record.experiment
    objective, usable = experiment.objective, model.usable_samplers
    task = {"pipeline_tag": json.dumps("unconditional-image-generation")} if model.record.is_image else {}
    return _template().render(
        # Every JSON text is YAML too.
        front={
            "license": json.dumps(card.license),
            "library_name": json.dumps("sde_jax"),
            **task,
            "tags": json.dumps(list(TAGS)),
        },
        card=card,
        rows=[(name, _text(value), explanation) for name, value, explanation in card.numbers],
        model=model,
        experiment=experiment,
        data=type(experiment.data).__name__,
        kind="image" if model.record.is_image else "example",
        shape=" × ".join(map(str, model.record.shape)),
        parameters=_text(sum(np.size(leaf) for leaf in jax.tree.leaves(model.params))),
        classes=[f"{index}: {name}" for index, name in enumerate(model.record.classes)]
        if model.record.label_count
        else [],
        samplers=usable,
        first=next(iter(usable), None),
        learnt=None if objective.gives_score else objective.minimiser(model.record.condition.hears()),
        version=__version__,
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, trim_blocks=True, keep_trailing_newline=True)
    return environment.from_string(files("sde_jax.publishing").joinpath("card.md.jinja").read_text("utf-8"))


def _text(value: str | int | float) -> str:
    return value if isinstance(value, str) else f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
