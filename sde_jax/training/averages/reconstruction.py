"""Averages of any length, made of power function averages after training (Karras et al. 2024, section 3.2)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from sde_jax.errors import InputError
from sde_jax.pytree import in_one_line
from sde_jax.training.averages.average import Average
from sde_jax.training.averages.power import PowerAverages, exponent
from sde_jax.training.averages.several import Several
from sde_jax.typing import Params


class Profile(NamedTuple):
    """The weights f(tau) = (gamma + 1) tau^gamma / step^(gamma + 1), tau in [0, step], of a power function average.

    The average at `step` is exactly the integral of f(tau) params(tau), where params(tau) are those of the step n
    with n - 1 < tau <= n.
    """

    step: int
    deviation: float


@in_one_line
class Fit(NamedTuple):
    """The linear combination of profiles that is nearest to another, f.

    coefficients: one for each profile, of sum 1; residual: |f - combination| / |f| in the norm of L2. What the same
    combination makes of averages is off by at most residual |f| |params - c|, for every constant c.
    """

    coefficients: np.ndarray
    residual: float


def fit(profiles: Sequence[Profile], target: Profile, tolerance: float = 0.05) -> Fit:
    """Return the fit of the target by those profiles that are no later than it, least squares in float64.

    Parameters that do not change have themselves as their average, so the coefficients are held to the sum 1. Raises
    `InputError` where no profile is of the target's step, and where the residual is above `tolerance`.
    """
    steps = sorted({profile.step for profile in profiles})
    if target.step not in steps:
        raise InputError(f"step {target.step}: no averages of this step are there; there are {_listed(steps)}")
    usable = np.array([profile.step <= target.step for profile in profiles])
    used = [profile for profile in profiles if profile.step <= target.step]
    found = _nearest(used, target)
    if not found.residual <= tolerance:
        deviations = _listed(sorted({profile.deviation for profile in used}))
        raise InputError(
            f"deviation {target.deviation:g} at step {target.step}: {len({profile.step for profile in used})} steps "
            f"with averages of deviations {deviations} give it to {found.residual:.2g} only, expected {tolerance:g}; "
            "ask for one nearer to these, or keep checkpoints more often"
        )
    coefficients = np.zeros(len(profiles))
    coefficients[usable] = found.coefficients
    return Fit(coefficients, found.residual)


def combined(coefficients: Sequence[float] | np.ndarray, trees: Iterable[Params]) -> Params:
    """Return the sum of coefficient times tree, added up in float64, in the types of the trees.

    The trees are drawn one at a time, so that they may be read one after the other.
    """
    total = tree = None
    for coefficient, tree in zip(coefficients, trees, strict=True):
        part = jax.tree.map(lambda leaf, c=coefficient: c * np.asarray(leaf, np.float64), tree)
        total = part if total is None else jax.tree.map(np.add, total, part)
    return jax.tree.map(lambda leaf, like: leaf.astype(like.dtype), total, tree)


def reconstruct(
    snapshots: Sequence[tuple[Profile, Params]], step: int, deviation: float, tolerance: float = 0.05
) -> Params:
    """Return the power function average at `step` made of snapshots of others; raises `InputError` as `fit`."""
    profiles, trees = zip(*snapshots, strict=True) if snapshots else ((), ())
    return combined(fit(profiles, Profile(step, deviation), tolerance).coefficients, trees)


def power_averages(average: Average, averages: Any) -> Mapping[float, Params]:
    """Return the power function averages among those that are carried, by deviation."""
    if isinstance(average, PowerAverages):
        return dict(zip(average.deviations, averages, strict=True))
    parts = average.averages if isinstance(average, Several) else {}
    return {
        deviation: tree
        for name, part in parts.items()
        for deviation, tree in power_averages(part, averages[name]).items()
    }


def _inner_products(profiles: Sequence[Profile]) -> np.ndarray:
    """Return the integral of the product of every two profiles.

    With s <= t and exponents a at s, b at t it is (a + 1) (b + 1) / (a + b + 1) (s / t)^b / t.
    """
    steps, exponents = zip(*((p.step, exponent(p.deviation)) for p in profiles), strict=True)
    s, t = np.meshgrid(steps, steps)
    a, b = np.meshgrid(exponents, exponents)
    late = np.maximum(s, t)
    return (a + 1) * (b + 1) / (a + b + 1) * (np.minimum(s, t) / late) ** np.where(s <= t, b, a) / late


def _nearest(profiles: Sequence[Profile], target: Profile) -> Fit:
    """Return the fit, in units in which every profile has norm 1.

    Directions of which rounding leaves nothing are left out. With x = A^+ b and y = A^+ 1, x + y (1 - 1 x) / (1 y) is
    the nearest of sum 1.
    """
    inner = _inner_products([*profiles, target])
    norms = np.sqrt(np.diag(inner))
    inner /= np.outer(norms, norms)
    products, with_target = inner[:-1, :-1], inner[:-1, -1]
    values, vectors = np.linalg.eigh(products)
    kept = values > len(values) * np.finfo(float).eps * values[-1]
    inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
    ones = norms[-1] / norms[:-1]  # coefficients of 1, in these units
    x, y = inverse @ with_target, inverse @ ones
    x = x + y * (1 - ones @ x) / (ones @ y)
    squared = 1 - 2 * with_target @ x + x @ products @ x
    return Fit(x * ones, float(np.sqrt(max(squared, 0.0))))


def _listed(numbers: Sequence[float]) -> str:
    shown = [f"{number:g}" if isinstance(number, float) else str(number) for number in numbers]
    return ", ".join(shown if len(shown) <= 8 else [*shown[:4], "...", *shown[-3:]]) or "none"
