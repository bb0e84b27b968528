"""The train step: one jitted function."""

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sde_jax.pytree import in_one_line
from sde_jax.training.anomaly import OnAnomaly, Stop
from sde_jax.training.averages import Average
from sde_jax.training.loss import Levels, Loss
from sde_jax.training.mesh import AXES, by_example, replicated, sharded
from sde_jax.training.state import TrainState
from sde_jax.typing import Array, Batch, Params


@in_one_line
class Metrics(NamedTuple):
    """What a step reports, on every device.

    loss: the batch's mean; gradient_norm: global, before clipping, both [] float32; healthy: whether the update was
    made, [] bool; levels: the errors by noise level; stop: whether a process asked to stop, [] bool.
    """

    loss: Array
    gradient_norm: Array
    healthy: Array
    levels: Levels
    stop: Array


@dataclass(frozen=True)
class TrainStep:
    """A step in two forms, compiled when first called, the state donated.

    one(state, batch) -> (state, metrics); several(state, batches) -> (state, metrics), for as many steps as the leading
    axis of the stacked batches has, with metrics stacked alike. The latter is a loop in the compiled program, in which
    XLA's CPU compiler makes gradients of convolutions slow.
    """

    one: jax.stages.Wrapped
    several: jax.stages.Wrapped


def make_step(
    like: TrainState,
    loss: Loss,
    optimizer: optax.GradientTransformation,
    average: Average,
    seed: int,
    mesh: Mesh,
    *,
    on_anomaly: OnAnomaly | None = None,
    accumulate: int = 1,
) -> TrainStep:
    """Return the step over a mesh, for states of the shapes of `like`.

    A step draws from the key of `seed` folded with the number of its batch, so that a run is a function of its seed and
    its data alone. The gradient is summed over `accumulate` parts of the batch, one after the other, of what was drawn
    for all of it. A step that `on_anomaly` does not find healthy leaves parameters, averages and optimizer as they are.
    A batch may hold `stop`, one truth value a device.
    """
    step = _Step(loss, optimizer, average, seed, mesh, Stop() if on_anomaly is None else on_anomaly, accumulate)
    whole, split = replicated(mesh), sharded(like, mesh)
    stacked = NamedSharding(mesh, PartitionSpec(None, AXES["example"]))

    def several(state: TrainState, batches: Batch) -> tuple[TrainState, Metrics]:
        return jax.lax.scan(step, state, batches)

    return TrainStep(
        jax.jit(step, in_shardings=(split, by_example(mesh)), out_shardings=(split, whole), donate_argnums=0),
        jax.jit(several, in_shardings=(split, stacked), out_shardings=(split, whole), donate_argnums=0),
    )


@dataclass(frozen=True, eq=False)
class _Step:
    loss: Loss
    optimizer: optax.GradientTransformation
    average: Average
    seed: int
    mesh: Mesh
    on_anomaly: OnAnomaly
    accumulate: int

    def __call__(self, state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        examples = self.loss.draw(jax.random.fold_in(jax.random.key(self.seed), state.position), batch)
        # Gathered once, by name: left to itself, the compiler splits activations as parameters are split.
        params = jax.lax.with_sharding_constraint(state.params, replicated(self.mesh))
        (value, levels), gradient = self._gradient(params, examples)
        gradient = jax.lax.with_sharding_constraint(gradient, sharded(gradient, self.mesh))
        norm = optax.tree.norm(gradient)
        healthy = state.health.judge(value, norm, self.on_anomaly.spike, self.on_anomaly.settled)
        updated = self._updated(state, gradient, len(batch["data"]))
        kept = jax.tree.map(lambda new, old: jnp.where(healthy, new, old), updated, state)
        health = state.health.after(value, norm, healthy)
        after = replace(kept, step=state.step + 1, position=state.position + 1, health=health)
        return after, Metrics(value, norm, healthy, levels, jnp.any(batch.get("stop", False)))

    def _updated(self, state: TrainState, gradient: Params, batch_size: int) -> TrainState:
        updates, optimizer = self.optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        number = state.step + 1 - state.health.skipped
        averages = self.average.update(state.averages, params, number, batch_size)
        return replace(state, params=params, averages=averages, optimizer=optimizer)

    def _gradient(self, params: Params, examples: Any) -> tuple[tuple[Array, Levels], Params]:
        """Return the mean loss with the errors by noise level, and the gradient, over the parts of a batch in turn."""
        evaluate, parts = jax.value_and_grad(self.loss.measure, has_aux=True), self.accumulate
        if parts == 1:
            return evaluate(params, examples)
        # Every part takes its share of each device's examples.
        split = jax.tree.map(lambda a: a.reshape(len(a) // parts, parts, *a.shape[1:]).swapaxes(0, 1), examples)

        def add(total: Any, part: Any) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, evaluate(params, part)), None

        shapes = jax.eval_shape(evaluate, params, jax.tree.map(lambda a: a[0], split))
        zeros = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), shapes)
        unroll = self.mesh.devices.flat[0].platform == "cpu"
        ((value, levels), gradient), _ = jax.lax.scan(add, zeros, split, unroll=unroll)
        return (value / parts, levels), jax.tree.map(lambda g: g / parts, gradient)
