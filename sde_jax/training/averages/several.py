"""Several averages of one training."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jaxtyping import Int

from sde_jax.errors import InputError
from sde_jax.training.averages.average import Average
from sde_jax.typing import Array, Params


@dataclass(frozen=True)
class Several(Average):
    """Averages side by side, by name; samples are drawn with that called `sampled`.

    What is carried is a mapping of what each carries. Those that an average names itself are `name.its-name`.
    Raises `InputError` unless there is one of that name, and names are of letters, digits, '_' and '-'.
    """

    averages: Mapping[str, Average]
    sampled: str

    def __post_init__(self):
        odd = [name for name in self.averages if not re.fullmatch(r"[\w-]+", name)]
        if odd:
            raise InputError(f"averages: {odd}: expected names of letters, digits, '_' and '-'")
        if self.sampled not in self.averages:
            raise InputError(
                f"sampled = {self.sampled!r}: expected one of {', '.join(self.averages) or 'some averages'}"
            )

    def init(self, params: Params) -> dict[str, Any]:
        """Return what each carries before the first update."""
        return {name: average.init(params) for name, average in self.averages.items()}

    def update(
        self, averages: Mapping[str, Any], params: Params, step: Int[Array, ""], batch_size: int
    ) -> dict[str, Any]:
        """Return what each carries after update number `step` (from 1)."""
        return {name: a.update(averages[name], params, step, batch_size) for name, a in self.averages.items()}

    def params(self, averages: Mapping[str, Any]) -> Params:
        """Return that called `sampled`."""
        return self.averages[self.sampled].params(averages[self.sampled])

    def named(self, averages: Mapping[str, Any]) -> Mapping[str, Params]:
        """Return every average by its name, and those that it names itself after it."""
        named = {}
        for name, average in self.averages.items():
            inner = average.named(averages[name])
            named |= {name: average.params(averages[name]), **{f"{name}.{key}": tree for key, tree in inner.items()}}
        return named
