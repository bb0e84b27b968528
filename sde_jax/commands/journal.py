"""What is told of a run while it trains."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from sde_jax import processes
from sde_jax.commands.preview import Previews
from sde_jax.experiment import Training
from sde_jax.training import Books, Clock, Row, TrainState


class Journal:
    """The books and a progress bar: every number since the last row, as its mean or its rate.

    loss, gradient_norm: means over the steps that were made; loss_by_noise_level: of the matching error within each of
    `BatchLoss`'s intervals of log-SNR, the noisiest first, None where no example was; images_per_second: without the
    time of compilations, checkpoints and previews; step_seconds: without the wait for data too; flop_utilization: of
    such a step, None where it is not known; skipped: steps left out so far; rollbacks.
    """

    def __init__(
        self,
        settings: Training,
        books: Books,
        clock: Clock,
        first: int,
        utilization: Callable[[float], float | None] | None = None,
        previews: Previews | None = None,
    ):
        self._settings, self._books, self._clock = settings, books, clock
        self._utilization, self._previews = utilization or (lambda seconds: None), previews
        silent = not processes.is_first()
        self._bar = tqdm(
            total=settings.steps, initial=first, desc="train", unit="step", mininterval=1.0, disable=silent
        )
        self._step, self._seconds = first, clock.seconds

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.close()

    def log(self, state: TrainState, rows: list[Row]) -> None:
        """Write the row of a step, from what came of those since the last, and draw the preview that is due."""
        step, seconds = int(state.step), self._clock.seconds
        count = max(step - self._step, 1)
        since = {part: value - self._seconds[part] for part, value in seconds.items()}
        left_out = count - len(rows)
        values = means(rows) | {
            "images_per_second": count * self._settings.batch_size / (since["step"] + since["data"]),
            "step_seconds": since["step"] / count,
            "flop_utilization": self._utilization(since["step"] / count),
            "skipped": int(state.health.skipped),
            "rollbacks": self._books.rollbacks,
        }
        self._books.write(step, values, lost=since["step"] * left_out / count)
        self._step, self._seconds = step, seconds
        loss = values["loss"]
        told = "no step made" if loss is None else f"loss {loss:.4f}"
        self._bar.set_postfix_str(f"{told}, {values['images_per_second']:,.0f} images/s", refresh=False)
        self._bar.update(step - self._bar.n)
        if self._previews and step % self._settings.preview.every == 0:
            self._previews.make(state, self._books)

    def rewind(self, step: int) -> None:
        """Go back to a step."""
        self._books.rewind(step)
        self._step, self._seconds = step, self._clock.seconds
        self._bar.update(step - self._bar.n)


def means(rows: list[Row]) -> dict[str, Any]:
    """Return the mean loss, gradient norm and losses by noise level of steps; None of none."""
    if not rows:
        return {"loss": None, "gradient_norm": None, "loss_by_noise_level": None}
    metrics = jax.tree.map(lambda *values: np.stack(values).astype(float), *(row.metrics for row in rows))
    sums, counts = metrics.levels.sums.sum(0), metrics.levels.counts.sum(0)
    return {
        "loss": float(metrics.loss.mean()),
        "gradient_norm": float(metrics.gradient_norm.mean()),
        "loss_by_noise_level": [float(s / n) if n else None for s, n in zip(sums, counts, strict=True)],
    }
