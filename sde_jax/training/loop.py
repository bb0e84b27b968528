"""The training loop."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import jax
import numpy as np
from jax.sharding import Mesh

from sde_jax.errors import InputError, RunError
from sde_jax.training.guard import Guard, Interruption, Row
from sde_jax.training.mesh import place
from sde_jax.training.state import TrainState
from sde_jax.training.step import TrainStep
from sde_jax.typing import Batch

AHEAD = 2
"""Batches placed, and steps given to the device, before the host waits for one to end."""


@dataclass(frozen=True)
class Plan:
    """How far, and when: until which step; what happens every so many; how many steps a call of the device."""

    until: int
    log_every: int
    save_every: int
    per_call: int = 1

    def calls(self, first: int) -> Iterator[int]:
        """Yield the steps of each call from step `first` on: `per_call`, and single ones where something is due."""
        n = first
        while n < self.until:
            due = min(self.until, *(n - n % every + every for every in (self.log_every, self.save_every)))
            count = self.per_call if n + self.per_call <= due else 1
            n += count
            yield count


@dataclass(frozen=True)
class Events:
    """What happens besides the steps.

    log(state, rows): every `log_every` steps and at the end, with what came of those since the last call; save(state):
    every `save_every` steps and at the end; ended(step): when the device is seen to have ended it; spent(part): a
    context for the time that is spent on "data" and "compile".
    """

    log: Callable[[TrainState, list[Row]], None]
    save: Callable[[TrainState], None]
    ended: Callable[[int], None] = lambda step: None
    spent: Callable[[str], AbstractContextManager] = lambda part: nullcontext()


def train(
    state: TrainState,
    step: TrainStep,
    batches: Iterator[Mapping[str, np.ndarray]],
    mesh: Mesh,
    plan: Plan,
    events: Events,
    guard: Guard,
    interruption: Interruption,
) -> TrainState:
    """Update the state until step `plan.until` or until interrupted; what is returned has been handed to `events.save`.

    Nothing is logged or saved before every loss and gradient up to there has been looked at by the guard. The host
    waits for the device to log, to save, and where it is more than `AHEAD` calls ahead. Several processes stop at the
    same step, where one was interrupted: each step tells them all, and they act on it as many steps later as the host
    is ahead. Where the data end or cannot be read, the steps before are saved and `RunError` is raised, or the
    `InputError` of the data.
    """
    loop = _Loop(step, mesh, plan, events, guard, interruption)
    state, failure = loop.advance(state, batches)
    if failure is None or jax.process_count() == 1:  # the other processes know nothing of the failure
        if rows := guard.check():
            events.log(state, rows)
        events.save(state)
    if failure is not None:
        raise failure.told(int(state.step)) from failure.__cause__
    return state


@dataclass(frozen=True)
class _Loop:
    step: TrainStep
    mesh: Mesh
    plan: Plan
    events: Events
    guard: Guard
    interruption: Interruption

    def advance(
        self, state: TrainState, batches: Iterator[Mapping[str, np.ndarray]]
    ) -> tuple[TrainState, "UnreadableError | None"]:
        """Return the state at the end, or where the data failed, with how; what is due at the end is not done yet."""
        plan, events, guard = self.plan, self.events, self.guard
        n, position = int(state.step), int(state.position)
        running, compiled, stopping = deque(), set(), False
        stream = _placed(batches, plan.calls(n), self.mesh, events)
        while n < plan.until and not stopping:
            try:
                count, batch = next(stream)
            except UnreadableError as failure:
                return state, failure
            call = self.step.one if count == 1 else self.step.several
            with events.spent("step" if count in compiled else "compile"):
                state, metrics = call(state, {**batch, **self._asking(count)})
            compiled.add(count)
            guard.watch(n + 1, position, count, metrics)
            n, position = n + count, position + count
            running.append((n, metrics))
            stopping = self._stopping(running)
            due = n % plan.save_every == 0 and n < plan.until and not stopping
            if n % plan.log_every == 0 or due:
                events.log(state, guard.check())
            if due:
                events.save(state)
        return state, None

    def _asking(self, count: int) -> Batch:
        """Return what a process tells the others with a step: nothing where it is alone."""
        if jax.process_count() == 1:
            return {}
        rows = np.full(len(self.mesh.local_devices), bool(self.interruption))
        return place({"stop": np.tile(rows, (count, 1)) if count > 1 else rows}, self.mesh, stacked=count > 1)

    def _stopping(self, running: deque) -> bool:
        """Wait until the host is at most `AHEAD` calls ahead; return whether to stop."""
        asked = False
        while len(running) > AHEAD:
            ended, metrics = running.popleft()
            asked |= bool(np.any(metrics.stop))
            self.events.ended(ended)
        return bool(self.interruption) if jax.process_count() == 1 else asked


class UnreadableError(Exception):
    """The data ended, or could not be read."""

    def told(self, step: int) -> Exception:
        """Return the error for the user, at the last step that was done."""
        cause = self.__cause__
        if isinstance(cause, InputError):
            return InputError(f"{cause}; step {step} is saved, and the same command goes on from there")
        reason = "they ended" if isinstance(cause, StopIteration) else f"{type(cause).__name__}: {cause}"
        return RunError(f"step {step + 1}: the data cannot be read ({reason}); the steps before it are saved")


def _placed(
    batches: Iterator[Mapping[str, np.ndarray]], calls: Iterator[int], mesh: Mesh, events: Events
) -> Iterator[tuple[int, Batch]]:
    """Yield the batches of each call from the device's memory, where `AHEAD` of them are sent beforehand.

    Raises `UnreadableError` after all that could be read.
    """
    waiting: deque[tuple[int, Batch]] = deque()
    failure = None
    for count in calls:
        try:
            with events.spent("data"):
                read = [next(batches) for _ in range(count)]
        except Exception as error:
            failure = error
            break
        names = read[0].keys() - {"index"}  # which may be beyond int32, and is of no use there
        batch = {name: np.stack([one[name] for one in read]) if count > 1 else read[0][name] for name in names}
        waiting.append((count, place(batch, mesh, stacked=count > 1)))
        if len(waiting) > AHEAD:
            yield waiting.popleft()
    yield from waiting
    if failure is not None:
        raise UnreadableError from failure
