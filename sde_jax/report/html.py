"""One self-contained HTML page about a run: it opens from a file and needs neither a server nor a network."""

import base64
import functools
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

import jinja2
import numpy as np
from numpy.typing import ArrayLike
from PIL.Image import Image, fromarray

from sde_jax.errors import InputError
from sde_jax.report.checks import finite_vector, image_batch, same_length
from sde_jax.report.diagram import DARK, LIGHT, PAGE_WIDTH
from sde_jax.report.levels import losses_by_noise_level
from sde_jax.report.plots import image_grid, likelihood_histogram, loss_by_noise_level, training_curve
from sde_jax.report.progress import preview_pictures, time_rows
from sde_jax.report.settings import setting_rows, summary_row

_NARROW_WIDTH = 380
_GRID_PIXELS = 600
_PAIR_PIXELS = 400
_PREVIEW_PIXELS = 200


@dataclass(frozen=True, eq=False)
class Report:
    """What there is to tell about a run; a part that is empty or None gets no section.

    title: the run's name.
    summary: (name, value, explanation) of the numbers that matter most, in reading order. A float is shown to
      four digits; a string, such as "3.41 ± 0.02", as it is.
    config: the run's settings, nested JSON.
    curve: name -> (steps [n], increasing; losses [n]). A loss that is not finite is a gap, and counted.
    level_losses: (steps [n], increasing; edges [k + 1], increasing; losses [n, k]) of the k intervals of log_snr.
    time: name -> seconds of each part of the run's time.
    progress: name -> number or words about how the training went.
    previews: caption -> picture, uint8 [h, w, c], c = 1 or 3, in the order in which they were made.
    noise_levels: (log_snr [n], loss [n]); log_snr is ln(alpha^2 / sigma^2).
    grids: caption -> uint8 [n, h, w, c], c = 1 or 3.
    trajectory: uint8 [frames, n, h, w, c], the samples while they are generated, noise first.
    trajectory_times: [frames], the diffusion time t of each frame, falling within [0, 1].
    bits_per_dim: [n], negative log-likelihood of each held-out example, bits per dimension.
    baseline_bits_per_dim: the same of something to compare with, [m] or one number.
    environment: name -> version, device and the like.
    """

    title: str
    summary: Sequence[tuple[str, str | int | float, str]] = ()
    config: Mapping[str, object] = field(default_factory=dict)
    curve: Mapping[str, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)
    level_losses: tuple[ArrayLike, ArrayLike, ArrayLike] | None = None
    time: Mapping[str, float] = field(default_factory=dict)
    progress: Mapping[str, object] = field(default_factory=dict)
    previews: Mapping[str, ArrayLike] = field(default_factory=dict)
    noise_levels: tuple[ArrayLike, ArrayLike] | None = None
    grids: Mapping[str, ArrayLike] = field(default_factory=dict)
    trajectory: ArrayLike | None = None
    trajectory_times: ArrayLike | None = None
    bits_per_dim: ArrayLike | None = None
    baseline_bits_per_dim: ArrayLike | None = None
    environment: Mapping[str, object] = field(default_factory=dict)


def render(report: Report) -> str:
    """The report as one HTML5 document, to be written as UTF-8.

    Images, style and script are within it, and its Content-Security-Policy lets it load nothing and run
    nothing else. Every string of the report appears as text. Raises InputError, in one line, where an array
    has another rank, dtype or length than `Report` says, or a number is not finite (save the losses of
    `curve`).
    """
    if not report.title.strip():
        raise InputError("the report's title is empty; expected the run's name")
    script = _resource("page.js")
    page = _template().render(
        title=report.title,
        policy=_policy(script),
        style=_resource("page.css"),
        script=script,
        summary=[summary_row(row) for row in report.summary],
        grids=_grids(report.grids),
        trajectory=_trajectory(report),
        curve=_curve(report),
        level_losses=_level_losses(report),
        time=time_rows(report.time),
        progress=setting_rows("progress", report.progress),
        previews=_previews(report.previews),
        noise_levels=_noise_levels(report),
        likelihood=_likelihood(report),
        config=setting_rows("config", report.config),
        environment=setting_rows("environment", report.environment),
    )
    # A name from the command line may hold a byte that is not UTF-8, which Python keeps as a lone surrogate.
    return page.encode("utf-8", "replace").decode("utf-8")


def _resource(name: str) -> str:
    return files("sde_jax.report").joinpath(name).read_text("utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_resource("page.html.jinja"))


def _policy(script: str) -> str:
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _grids(grids: Mapping[str, ArrayLike]) -> list[dict[str, object]]:
    # Drawn twice as large as it is shown, a grid is sharp on a fine screen, and two fit beside each other.
    shown = _GRID_PIXELS if len(grids) == 1 else _PAIR_PIXELS
    figures = []
    for caption, images in grids.items():
        array = image_batch(f"the grid {caption!r}", images)
        n, height, width, _ = array.shape
        picture = image_grid(array, pixels=2 * shown)
        ratio = min(0.5, shown / picture.width)
        figures.append(
            {
                "caption": caption,
                "source": _png(picture),
                "width": round(ratio * picture.width),
                "height": round(ratio * picture.height),
                "alt": f"{caption}: {n} images of {width} by {height} pixels",
            }
        )
    return figures


def _png(picture: Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return _data_uri("image/png", buffer.getvalue())


def _trajectory(report: Report) -> list[dict[str, object]]:
    if report.trajectory is None or report.trajectory_times is None:
        if report.trajectory is not report.trajectory_times:
            raise InputError("the report has one of trajectory and trajectory_times; expected both, or neither")
        return []
    frames = image_batch("trajectory", report.trajectory, leading="frames, n")
    times = finite_vector("trajectory_times", report.trajectory_times)
    same_length("trajectory", frames, "trajectory_times", times)
    if times.min() < 0 or times.max() > 1 or np.any(np.diff(times) > 0):
        raise InputError(f"trajectory_times run from {times[0]:g} to {times[-1]:g}; expected t in [0, 1], never rising")
    frames_shown = []
    for frame, text in zip(frames, _time_texts(times), strict=True):
        picture = image_grid(frame, pixels=_GRID_PIXELS)
        frames_shown.append({"time": text, "source": _png(picture), "width": picture.width, "height": picture.height})
    return frames_shown


def _time_texts(times: np.ndarray) -> list[str]:
    # As few decimals as tell the frames apart.
    texts: list[str] = []
    for digits in range(2, 7):
        texts = [f"t = {time:.{digits}f}" for time in times]
        if len(set(texts)) == len(set(times.tolist())):
            break
    return texts


def _curve(report: Report) -> dict[str, str] | None:
    if not report.curve:
        return None
    pictures = _pictures(functools.partial(training_curve, report.curve))
    ends = []
    for name, (_, values) in report.curve.items():
        losses = np.asarray(values, np.float64)
        losses = losses[np.isfinite(losses)]
        ends.append(f"{name} from {losses[0]:.4g} to {losses[-1]:.4g}")
    return {**pictures, "alt": f"Loss against training step: {'; '.join(ends)}"}


def _level_losses(report: Report) -> dict[str, str] | None:
    if report.level_losses is None:
        return None
    pictures = _pictures(functools.partial(losses_by_noise_level, *report.level_losses))
    edges = np.asarray(report.level_losses[1])
    levels = f"{len(edges) - 1} noise levels, log SNR {edges[0]:.3g} to {edges[-1]:.3g}"
    return {**pictures, "alt": f"Loss against training step at {levels}"}


def _previews(previews: Mapping[str, ArrayLike]) -> list[dict[str, object]]:
    return [
        {
            "caption": caption,
            "source": _png(fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)),
            "width": min(_PREVIEW_PIXELS, picture.shape[1]),
            "alt": f"Samples while it trained, {caption}",
        }
        for caption, picture in preview_pictures(previews)
    ]


def _noise_levels(report: Report) -> dict[str, str] | None:
    if report.noise_levels is None:
        return None
    if not isinstance(report.noise_levels, tuple | list) or len(report.noise_levels) != 2:
        raise InputError(f"noise_levels is a {type(report.noise_levels).__name__}; expected a pair (log_snr, loss)")
    log_snr, loss = report.noise_levels
    pictures = _pictures(functools.partial(loss_by_noise_level, log_snr, loss))
    low, high = np.min(log_snr), np.max(log_snr)
    return {**pictures, "alt": f"Loss against log SNR, from {low:.3g} (noise) to {high:.3g} (data)"}


def _likelihood(report: Report) -> dict[str, str] | None:
    model, baseline = report.bits_per_dim, report.baseline_bits_per_dim
    if model is None:
        if baseline is not None:
            raise InputError("the report has baseline_bits_per_dim without bits_per_dim; expected both, or neither")
        return None
    pictures = _pictures(functools.partial(likelihood_histogram, model, baseline))
    against = "" if baseline is None else f"; baseline, mean {np.asarray(baseline).mean():.4g}"
    return {
        **pictures,
        "alt": f"Distribution of bits per dimension: model, mean {np.asarray(model).mean():.4g}{against}",
    }


def _pictures(draw: Callable[..., str]) -> dict[str, str]:
    return {
        f"{width_name}_{theme_name}": _data_uri("image/svg+xml", draw(theme=theme, width=width).encode())
        for theme_name, theme in (("light", LIGHT), ("dark", DARK))
        for width_name, width in (("wide", PAGE_WIDTH), ("narrow", _NARROW_WIDTH))
    }
