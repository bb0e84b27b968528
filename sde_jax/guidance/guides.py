"""Guides as values: what samplers of a trained model are guided by, with all that may change as leaves."""

from collections.abc import Callable
from typing import Any, Protocol

from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.guidance.classifier import classifier_guided
from sde_jax.guidance.classifier_free import classifier_free
from sde_jax.guidance.interval import Interval
from sde_jax.pytree import component
from sde_jax.sde import GaussianPath
from sde_jax.typing import Array, Denoiser

DenoiserOf = Callable[[Any], Denoiser]
"""From a condition, None for none, to the denoiser that is told it."""


class Guide(Protocol):
    """A pytree that guides each sample by what is given for it, a label or a condition.

    needs_null: whether it asks for the denoiser that is told nothing, of a network that can be told something.
    """

    @property
    def needs_null(self) -> bool:
        """Whether `denoiser_of(None)` is asked for."""
        ...

    def guided(self, sde: GaussianPath, denoiser_of: DenoiserOf, condition: Any, label: Any) -> Denoiser:
        """Return the denoiser of one sample, its condition and the label that it stands for given."""
        ...


@component
class ClassifierFree:
    """`classifier_free`, against the denoiser that is told nothing or, where given, `baseline` of the condition.

    baseline: a pytree, so that its parameters are leaves: `jax.tree_util.Partial(function, params)`.
    """

    weight: float
    interval: Interval | None = None
    rescale: float | None = None
    baseline: DenoiserOf | None = None

    @property
    def needs_null(self) -> bool:
        """Whether it is not autoguidance."""
        return self.baseline is None

    def guided(self, sde: GaussianPath, denoiser_of: DenoiserOf, condition: Any, label: Any) -> Denoiser:
        """Return D_0 + weight (D_1 - D_0). Raises `InputError` where there is neither a condition nor a `baseline`."""
        if self.baseline is None and condition is None:
            raise InputError(
                "classifier-free guidance of a network that is told nothing: expected conditions, of a network that "
                "hears some, such as ClassLabel(10); or guide by a classifier, or by a weaker model (autoguidance)"
            )
        weak = denoiser_of(None) if self.baseline is None else self.baseline(condition)
        return classifier_free(denoiser_of(condition), weak, sde, self.weight, self.interval, self.rescale)


@component
class ByClassifier:
    """`classifier_guided` of the denoiser that is told nothing, by log p_t(label | x).

    log_prob: (x, t, label) -> float, a pytree: `jax.tree_util.Partial(function, params)`.
    """

    log_prob: Callable[[Array, Any, Any], Float[Array, ""]]
    scale: float = 1.0
    interval: Interval | None = None

    @property
    def needs_null(self) -> bool:
        """True."""
        return True

    def guided(self, sde: GaussianPath, denoiser_of: DenoiserOf, condition: Any, label: Any) -> Denoiser:
        """Return D_0 + (sigma^2 / alpha) scale grad log p_t(label | x)."""
        log_prob = lambda x, t: self.log_prob(x, t, label)  # noqa: E731
        return classifier_guided(denoiser_of(None), sde, log_prob, self.scale, self.interval)
