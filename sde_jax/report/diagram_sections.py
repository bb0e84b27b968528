"""What a page shows of a training and of a likelihood as diagrams, with the words that stand for them."""

import functools
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from sde_jax.errors import InputError
from sde_jax.report.contents import Report
from sde_jax.report.differences import paired_difference
from sde_jax.report.embedding import diagram
from sde_jax.report.histogram import likelihood_histogram, mean_error
from sde_jax.report.levels import losses_by_noise_level
from sde_jax.report.plots import loss_by_noise_level, training_curve
from sde_jax.report.settings import Row, setting_rows
from sde_jax.report.values import value_text


def curve_diagram(curve: Mapping[str, tuple[ArrayLike, ArrayLike]]) -> dict[str, str] | None:
    """Losses against the training step; None of no series. Raises InputError as `training_curve`."""
    if not curve:
        return None
    forms = diagram(functools.partial(training_curve, curve))
    ends = []
    for name, (_, values) in curve.items():
        losses = np.asarray(values, np.float64)
        losses = losses[np.isfinite(losses)]
        ends.append(f"{name} from {losses[0]:.4g} to {losses[-1]:.4g}")
    return {**forms, "alt": f"Loss against training step: {'; '.join(ends)}"}


def level_diagram(level_losses: tuple[ArrayLike, ArrayLike, ArrayLike] | None) -> dict[str, str] | None:
    """Losses against the training step at each noise level. Raises InputError as `losses_by_noise_level`."""
    if level_losses is None:
        return None
    forms = diagram(functools.partial(losses_by_noise_level, *level_losses))
    edges = np.asarray(level_losses[1])
    levels = f"{len(edges) - 1} noise levels, log SNR {edges[0]:.3g} to {edges[-1]:.3g}"
    return {**forms, "alt": f"Loss against training step at {levels}"}


def noise_level_diagram(noise_levels: tuple[ArrayLike, ArrayLike] | None) -> dict[str, str] | None:
    """Losses against the noise level. Raises InputError as `loss_by_noise_level`."""
    if noise_levels is None:
        return None
    if not isinstance(noise_levels, tuple | list) or len(noise_levels) != 2:
        raise InputError(f"noise_levels is a {type(noise_levels).__name__}; expected a pair (log_snr, loss)")
    log_snr, loss = noise_levels
    forms = diagram(functools.partial(loss_by_noise_level, log_snr, loss))
    low, high = np.min(log_snr), np.max(log_snr)
    return {**forms, "alt": f"Loss against log SNR, from {low:.3g} (noise) to {high:.3g} (data)"}


def likelihood_diagram(report: Report) -> dict[str, str] | None:
    """The distribution of bits per dimension. Raises InputError as `likelihood_histogram`."""
    model, baseline, bound = report.bits_per_dim, report.baseline_bits_per_dim, report.bound_bits_per_dim
    if model is None:
        for name in ("baseline_bits_per_dim", "bound_bits_per_dim"):
            if getattr(report, name) is not None:
                raise InputError(f"the report has {name} without bits_per_dim; expected both, or neither")
        return None
    forms = diagram(functools.partial(likelihood_histogram, model, baseline, bound=bound))
    parts = [f"model, mean {np.asarray(model).mean():.4g}"]
    parts += [] if baseline is None else [f"baseline, mean {np.asarray(baseline).mean():.4g}"]
    parts += [] if bound is None else [f"variational bound, mean {bound[0]:.4g}"]
    return {**forms, "alt": f"Distribution of bits per dimension: {'; '.join(parts)}"}


def likelihood_rows(report: Report) -> list[Row]:
    """The mean with its standard error, and of what it is the mean. Raises InputError where passes are below 1."""
    if report.bits_per_dim is None:
        return []
    bits, passes = np.asarray(report.bits_per_dim, np.float64), report.passes
    if passes is not None and passes < 1:
        raise InputError(f"passes is {passes}; expected 1 or more")
    facts = {"mean": f"{value_text(bits.mean(), mean_error(bits))} bits per dimension, over {len(bits):,} examples"}
    if passes is not None:
        facts["passes"] = f"{passes:,} for each example, with all that is random drawn anew"
    if report.bound_bits_per_dim is not None:
        facts["variational bound"] = f"{value_text(*report.bound_bits_per_dim)} bits per dimension"
    baseline = np.asarray(report.baseline_bits_per_dim) if report.baseline_bits_per_dim is not None else np.zeros(())
    if baseline.shape == bits.shape:
        gap = paired_difference(bits, np.arange(len(bits)), baseline, np.arange(len(bits)))
        facts |= {} if gap is None else {"against the baseline": str(gap)}
    return setting_rows("likelihood", facts)
