"""The training loop."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jax.sharding import Mesh

from sde_jax.training.guard import FiniteGuard, Interruption
from sde_jax.training.mesh import place
from sde_jax.training.state import TrainState
from sde_jax.training.step import Metrics
from sde_jax.typing import Batch


@dataclass(frozen=True)
class Events:
    """What happens besides the steps.

    log(state, losses): every `log_every` steps, with the (step, loss) of those since the last call; save(state): every
    `save_every` steps and at the end.
    """

    log: Callable[[TrainState, list[tuple[int, float]]], None]
    save: Callable[[TrainState], None]
    log_every: int
    save_every: int


def train(
    state: TrainState,
    step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]],
    batches: Iterator[Mapping[str, np.ndarray]],
    mesh: Mesh,
    until: int,
    events: Events,
    interruption: Interruption,
) -> TrainState:
    """Update the state until step `until` or until interrupted; what is returned has been handed to `events.save`.

    Nothing is logged or saved before every loss and gradient up to there has been seen to be finite; `RunError` with
    the step and the examples where one is not. The host waits for the device only to log and to save.
    """
    guard = FiniteGuard()
    n = int(state.step)
    while n < until and not interruption:
        batch = next(batches)
        state, metrics = step(state, place({"image": batch["image"]}, mesh))
        n += 1
        guard.watch(n, batch["index"], metrics)
        due = n % events.save_every == 0
        if n % events.log_every == 0 or due or n == until:
            events.log(state, guard.check())
        if due and n < until and not interruption:
            events.save(state)
    guard.check()
    events.save(state)
    return state
