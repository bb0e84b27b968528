"""Denoisers that give a velocity and no score."""

from typing import Any

from sde_jax.errors import InputError
from sde_jax.typing import Array, Denoiser, Time


class Coupled:
    """A denoiser (x, t) -> E[x_0 | x_t = x] of pairs (x_0, eps) that are not independent, `coupling` their name.

    It is the velocity of those pairs (see `objective.Coupling`), which is what the probability flow asks for; of the
    score of x_t it says nothing, and `require_score` refuses it.
    """

    def __init__(self, denoise: Denoiser, coupling: str):
        self._denoise, self.coupling = denoise, coupling

    def __call__(self, x: Array, t: Time) -> Array:
        """Return the estimate."""
        return self._denoise(x, t)

    def __getattr__(self, name: str) -> Any:
        """Return what else the denoiser tells."""
        if name.startswith("__") or name == "_denoise":
            raise AttributeError(name)
        return getattr(self._denoise, name)


def require_score(by: object, *denoisers: Any) -> None:
    """Raise `InputError`, naming what asks for the score, where a denoiser is known to give none."""
    for denoise in denoisers:
        if isinstance(denoise, Coupled):
            raise InputError(without_score(str(by), denoise.coupling))


def without_score(by: str, coupling: str) -> str:
    """Return the message for who asks for the score of a model of coupled pairs."""
    return (
        f"{by}: asks for the score, and a model trained with objective.coupling = {coupling} has none: it is a "
        "velocity, for the probability flow alone; sample by a solver that draws no noise, such as ProbabilityFlow() "
        "or DDIM(), or train with objective.coupling = Independent"
    )
