"""The Fréchet distance between Gaussians fitted to features: FID, where these are Inception's."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sde_jax.errors import InputError, whole
from sde_jax.metrics.metric import Result
from sde_jax.metrics.moments import Gaussian, Moments, gaussian, merged, moments, no_moments
from sde_jax.metrics.outputs import Outputs, checked, require_finite
from sde_jax.metrics.parts import mean_of


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Return |m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2)) (Dowson & Landau 1982; Heusel et al. 2017, eq. 6).

    The squared 2-Wasserstein distance of the Gaussians. Covariances may be singular. Raises `InputError` for Gaussians
    of different dimension, NaN and infinities.
    """
    return _distance(_finite(a), _finite(b), _root(b.covariance))


@dataclass(frozen=True)
class Frechet:
    """The Fréchet distance between generated and reference examples, and what it would be of infinitely many generated.

    The distance of n examples is too large by c / n to leading order. An example belongs to the block index mod
    `blocks`. For every divisor g of `blocks` the distances of groups of g blocks are averaged over the disjoint groups,
    and the line a + c / n through these gives `frechet_infinity` = a (Chong & Forsyth 2020) and, from three points on,
    `frechet_infinity_fit_error`, the root mean square of its residuals. Residuals are weighted by n, since what the
    line neglects falls like 1 / n^2, and groups of at most 2 d examples, d features, are left out. The standard error
    is that of the mean of the blocks' own distances, whose bias is the same; it tells of the generated examples alone.
    The state is `blocks` moments, 33 MB each with 2,048 features. Raises `InputError` unless blocks >= 1; with 1 there
    is neither infinity nor error.
    """

    blocks: int = 8
    uses_reference: ClassVar[bool] = True

    def __post_init__(self):
        if not whole(self.blocks, 1):
            raise InputError(f"{self}: expected blocks >= 1")

    def init(self) -> tuple[Moments, ...]:
        """Return the moments of no examples, `blocks` times."""
        return (no_moments(),) * self.blocks

    def update(self, state: tuple[Moments, ...], outputs: Outputs) -> tuple[Moments, ...]:
        """Return the state with the examples of `outputs`."""
        outputs = checked(outputs)
        block = outputs.index % self.blocks
        return self.merge(state, tuple(moments(outputs.features[block == b]) for b in range(self.blocks)))

    def merge(self, a: tuple[Moments, ...], b: tuple[Moments, ...]) -> tuple[Moments, ...]:
        """Return the moments of both, block by block."""
        return tuple(merged(*parts) for parts in zip(a, b, strict=True))

    def result(self, generated: tuple[Moments, ...], reference: tuple[Moments, ...] | Gaussian | None) -> Result:
        """Return the distance; the reference may be a file's mean and covariance (`read_gaussian`)."""
        if reference is None:
            raise InputError(f"{self} compares with a reference; none was given")
        data = _finite(reference) if isinstance(reference, Gaussian) else gaussian(merged(*reference))
        model, root = gaussian(merged(*generated)), _root(data.covariance)
        value = _distance(model, data, root)
        details, error = self._extrapolated(generated, data, root, value)
        warnings = _warnings(model, data)
        if self.blocks > 1 and not details:
            warnings += (
                f"{model.examples} examples are too few to extrapolate to infinity;"
                f" expected more than {4 * data.mean.size}",
            )
        return Result(value, error, None, model.examples or 0, data.examples, details, warnings)

    def _extrapolated(
        self, blocks: tuple[Moments, ...], data: Gaussian, root: np.ndarray, value: float
    ) -> tuple[dict[str, float], float | None]:
        error, rates, values = None, [], []
        for g in (g for g in range(1, self.blocks) if self.blocks % g == 0):
            groups = [merged(*blocks[i : i + g]) for i in range(0, self.blocks, g)]
            if any(group.examples < 2 for group in groups):
                continue
            distances = np.array([_distance(gaussian(group), data, root) for group in groups])
            error = mean_of(distances).standard_error if g == 1 else error
            if all(group.examples > 2 * data.mean.size for group in groups):
                rates.append(np.mean([1 / group.examples for group in groups]))
                values.append(np.mean(distances))
        rates.append(1 / sum(block.examples for block in blocks))
        return (_line(np.array(rates), np.array([*values, value])) if values else {}), error


def _line(rates: np.ndarray, values: np.ndarray) -> dict[str, float]:
    """Return the value at rate 0 of the line through (rate, value), rates falling, and the fit's error."""
    weights = rates[-1] / rates
    slope, infinity = np.polyfit(rates, values, 1, w=weights)
    left = weights * (values - infinity - slope * rates)
    error = {"frechet_infinity_fit_error": float(np.sqrt(np.sum(left**2) / (len(rates) - 2)))} if len(rates) > 2 else {}
    return {"frechet_infinity": float(infinity), **error}


def _finite(values: Gaussian) -> Gaussian:
    require_finite(mean=values.mean, covariance=values.covariance)
    return values


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric R with R R = covariance, whose negative eigenvalues are rounding."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(eigenvalues, 0))) @ vectors.T


def _distance(a: Gaussian, b: Gaussian, root: np.ndarray) -> float:
    # tr (S_a S_b)^(1/2) = tr (R S_a R)^(1/2) with R R = S_b: a symmetric matrix, which always has its eigenvalues.
    if a.mean.shape != b.mean.shape:
        raise InputError(
            f"generated examples have {a.mean.size} features, the reference {b.mean.size}; expected those of one"
            " extractor"
        )
    between = np.linalg.eigvalsh(root @ a.covariance @ root)
    trace = np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sum(np.sqrt(np.maximum(between, 0)))
    return float(max(np.sum((a.mean - b.mean) ** 2) + trace, 0.0))


def _warnings(model: Gaussian, data: Gaussian) -> tuple[str, ...]:
    d = data.mean.size
    few = [
        f"{who} has {part.examples} examples and {d} features: its covariance is singular, the distance far too large"
        for who, part in {"the sample": model, "the reference": data}.items()
        if part.examples is not None and part.examples <= d
    ]
    unknown = ["how many examples the reference was computed from is unknown"] if data.examples is None else []
    return (*few, *unknown)
