"""What a network is told of the time."""

from dataclasses import dataclass
from typing import Protocol

from sde_jax.errors import InputError
from sde_jax.pytree import holds
from sde_jax.sde import DDPM, SMLD, GaussianPath
from sde_jax.typing import Array, Time


class Label(Protocol):
    """The number by which a network knows the time: c_noise."""

    def at(self, sde: GaussianPath, t: Time) -> Array | Time:
        """Return the label of time t."""
        ...


@dataclass(frozen=True)
class ScaledTime:
    """scale t: 999 t for the official networks of VP and sub-VP (Song et al. 2021, their code), DDPM's 0 ... 999.

    Raises `InputError` unless scale > 0.
    """

    scale: float = 999.0

    def __post_init__(self):
        _require_positive(self)

    def at(self, sde: GaussianPath, t: Time) -> Time:
        """Return scale t."""
        return self.scale * t


@dataclass(frozen=True)
class Deviation:
    """sigma(t): for the official networks of VE (Song et al. 2021, their code)."""

    def at(self, sde: GaussianPath, t: Time) -> Array:
        """Return sigma(t)."""
        return sde.sigma(t)


@dataclass(frozen=True)
class LogNoise:
    """scale log(sigma / alpha) / 4 (Karras et al. 2022, table 1, where scale = 1).

    Raises `InputError` unless scale > 0.
    """

    scale: float = 1.0

    def __post_init__(self):
        _require_positive(self)

    def at(self, sde: GaussianPath, t: Time) -> Array:
        """Return -scale lambda / 4."""
        return -self.scale * sde.log_snr(t) / 4


@dataclass(frozen=True)
class TableLabel:
    """What a discrete chain calls its times: t (N - 1) for DDPM, round((1 - t)(N - 1)) for SMLD, N its steps.

    SMLD's are whole numbers, 0 at the largest sigma: indices into a network's table (Song et al. 2021, their code).
    """

    def at(self, sde: GaussianPath, t: Time) -> Array:
        """Return the path's label of t. Raises `InputError` for a path without one."""
        return require_table(sde, "TableLabel").label(t)


def require_table(sde: GaussianPath, by: str) -> DDPM | SMLD:
    """Return a path that has a table of times; raise `InputError`, naming what needs it, for any other."""
    if not isinstance(sde, DDPM | SMLD):
        raise InputError(f"{by} on {sde}: expected a path with a table of times, DDPM or SMLD")
    return sde


def _require_positive(label: ScaledTime | LogNoise) -> None:
    if not holds(lambda scale: scale > 0, label.scale):
        raise InputError(f"{label}: expected scale > 0")
