"""The loss of a batch: drawn as a whole, measured in parts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.likelihood import Encoding
from sde_jax.nn import Apply, Channels, Condition, Unconditional
from sde_jax.objective import Objective, matching_error
from sde_jax.prediction import denoiser
from sde_jax.pytree import in_one_line
from sde_jax.sde import GaussianPath
from sde_jax.training.augmentation import Augmentation, NoAugmentation, Symmetry
from sde_jax.training.degradation import Degradation, NoDegradation
from sde_jax.typing import Array, Batch, Key, Params

LEVELS = 8
"""Buckets of noise levels by which losses are told apart."""


@in_one_line
class Levels(NamedTuple):
    """Matching errors by noise level: their sums and how many there are, each [LEVELS] float32, the noisiest first."""

    sums: Array
    counts: Array


class Loss(Protocol):
    """What a train step minimises."""

    def draw(self, key: Key, batch: Batch) -> Any:
        """Return all that is random, for every example of a batch: a pytree of arrays with a leading axis."""
        ...

    def measure(self, params: Params, examples: Any) -> tuple[Float[Array, ""], Levels]:
        """Return the mean loss of examples that were drawn, or of a part of them, and their errors by noise level."""
        ...


@in_one_line
class Examples(NamedTuple):
    """Drawn examples: x0 and eps [n, ...], times [n], keys of dropout [n], conditions [n, ...], None for none, and what
    their paths are given, [n, ...] by name."""

    x0: Array
    eps: Array
    t: Array
    dropout: Key
    condition: Any
    given: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class BatchLoss:
    """The mean matching error of a dequantised batch, corrected for the distribution of its times.

    Times are stratified and noise is coupled over the whole batch, whatever the parts in which it is measured.

    condition: what the network hears of an example, among the arrays of the batch and the `augmentation` of its x_0;
    label_dropout: the probability that its label is withheld, so that one network learns p(x | label) and p(x) (Ho &
    Salimans 2022); symmetry: of pairs (x_0, eps), after they are coupled; degradation: of the augmented x_0, to the
    `channels` that the network hears and the path is given. Raises `InputError` where the objective cannot be had on
    the path or with what the network hears, and for conditions of channels that are left where they are when the
    example is moved.
    """

    apply: Apply
    sde: GaussianPath
    objective: Objective
    encoding: Encoding
    condition: Condition = field(default_factory=Unconditional)
    label_dropout: float = 0.0
    augmentation: Augmentation = field(default_factory=NoAugmentation)
    symmetry: Symmetry = field(default_factory=Symmetry)
    degradation: Degradation = field(default_factory=NoDegradation)
    edges: np.ndarray = field(init=False)

    def __post_init__(self):
        self.objective.require_fit(self.sde)
        object.__setattr__(self, "edges", level_edges(self.sde)[1:-1])
        heard = self.condition.hears()
        self.objective.require_heard(heard)
        moves = bool(self.symmetry or (self.augmentation.size and not self._degrades))
        if moves and any(isinstance(part, Channels) for part in heard.values()):
            raise InputError("examples are moved, and conditions of channels are not: expected no augmentation")

    def __call__(self, params: Params, key: Key, batch: Batch) -> Float[Array, ""]:
        """Return the loss of a batch under a key."""
        return self.measure(params, self.draw(key, batch))[0]

    def draw(self, key: Key, batch: Batch) -> Examples:
        """Return the examples of a batch, [n, ...] at `data`, with their noise, times and conditions.

        Raises `InputError` where something that the network hears is not in the batch.
        """
        first, second, third, last = jax.random.split(key, 4)
        data = batch["data"]
        heard = {name: batch[name] for name in self._named(batch)}
        keys = jax.random.split(first, len(data))
        x0, eps, dropout, condition, given = jax.vmap(self._draw)(keys, data, heard)
        x0, eps = self.objective.coupling.pair(third, x0, eps, *self._classes(heard))
        if self.symmetry:
            x0, eps = jax.vmap(self._moved)(jax.random.split(last, len(data)), x0, eps)
        t = self.objective.times.draw(second, len(data), self.sde)
        return Examples(x0, eps, t, dropout, condition, given)

    def _named(self, batch: Batch) -> list[str]:
        """Return the names of what the network hears of a batch."""
        made = {"augmentation"} if self.augmentation.size else set()
        made |= {"channels"} if self._degrades else set()
        names = [name for name in self.condition.hears() if name not in made]
        missing = [name for name in names if name not in batch]
        if missing:
            raise InputError(
                f"the network hears {', '.join(missing)}: expected it beside the data, not only {set(batch)}"
            )
        return names

    def _classes(self, heard: Mapping[str, Array]) -> list[Array]:
        """Return what examples are paired within, [n, ...]: none where noise is independent, or no class is heard."""
        if self.objective.gives_score or not heard:
            return []
        return [jnp.stack(list(heard.values()), -1)]

    @property
    def _degrades(self) -> bool:
        return not isinstance(self.degradation, NoDegradation)

    def _draw(self, key: Key, data: Array, facts: Mapping[str, Array]) -> tuple[Array, Array, Key, Any, Any]:
        noise, cell, dropout, withheld, augmented = jax.random.split(key, 5)
        x0, _ = self.encoding.draw(cell, data)
        x0, told = self.augmentation.augmented(augmented, x0)
        if self.label_dropout and "label" in facts:
            dropped = jax.random.bernoulli(withheld, self.label_dropout)
            facts = {**facts, "label": jnp.where(dropped, -1, facts["label"])}
        facts = {**facts, "augmentation": told} if self.augmentation.size else facts
        if self._degrades:
            facts = {**facts, "channels": self.degradation.degraded(jax.random.fold_in(augmented, 0), x0)}
        eps, given = self.sde.noise(noise, x0.shape, x0.dtype), {n: facts[n] for n in ("channels",) if n in facts}
        return x0, eps, dropout, self.condition.of(facts, x0.shape), given

    def _moved(self, key: Key, x0: Array, eps: Array) -> tuple[Array, Array]:
        g = self.symmetry.draw(key)
        return self.symmetry.act(g, x0), self.symmetry.act(g, eps)

    def measure(self, params: Params, examples: Examples) -> tuple[Float[Array, ""], Levels]:
        """Return the mean corrected error, and the errors as they are by noise level."""
        errors = jax.vmap(self._error, in_axes=(None, 0))(params, examples)
        correction = jax.vmap(self.objective.times.correction, in_axes=(None, 0))(self.sde, examples.t)
        log_snr = jax.vmap(lambda t: jnp.mean(self.sde.log_snr(t)))(examples.t)
        member = jax.nn.one_hot(jnp.searchsorted(jnp.asarray(self.edges), log_snr), LEVELS)
        return jnp.mean(correction * errors), Levels(errors @ member, member.sum(0))

    def _error(self, params: Params, one: Examples) -> Float[Array, ""]:
        apply = self.apply if one.condition is None else partial(self.apply, condition=one.condition)
        network = lambda x, label: apply(params, x, label, key=one.dropout)  # noqa: E731
        sde, objective = self.sde.given(one.given), self.objective
        denoise = denoiser(network, sde, objective.parameterization)
        return matching_error(sde, denoise, one.x0, one.eps, one.t, objective.weighting, objective.reduction)


def level_edges(sde: GaussianPath) -> np.ndarray:
    """Return the edges of the buckets, [LEVELS + 1] rising log(alpha / sigma), evenly from t = 0.999 to t = 0.001.

    The first and the last bucket also hold what lies beyond.
    """
    noisy, clean = (np.mean(np.asarray(sde.log_snr(t))) for t in (0.999, 0.001))
    return np.linspace(noisy, clean, LEVELS + 1)
