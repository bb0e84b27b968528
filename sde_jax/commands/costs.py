"""What a run's train step costs, read off the traced program and, where asked, the compiled one."""

import math
import time
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from sde_jax import nn
from sde_jax.commands.train import compiled_step
from sde_jax.commands.workdir import abstract_state
from sde_jax.errors import InputError
from sde_jax.experiment import Training
from sde_jax.model import Record
from sde_jax.training import TrainState
from sde_jax.typing import Params


@dataclass(frozen=True)
class Costs:
    """The costs of a train step, memory in bytes a device.

    parameters: numbers; evaluation_flops: floating-point operations of the network on one example; step_flops: of a
    train step on the whole batch, rematerialisation included; state: parameters, averages, optimizer and
    batch; kept: what the forward evaluation leaves for the backward one. Of the compiled program, None where it was
    not compiled: temporaries: what it needs beside the state, whose order of work is the compiler's; compile_seconds:
    little where it is in the compilation cache.
    """

    parameters: int
    evaluation_flops: float
    step_flops: float
    state: int
    kept: int
    temporaries: int | None = None
    compile_seconds: float | None = None

    def to_json(self) -> dict[str, float]:
        """Return the fields that are known."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def __str__(self) -> str:
        """Return a table."""
        mib = 2**20
        rows = {
            "parameters": f"{self.parameters:,}",
            "one evaluation": f"{self.evaluation_flops / 1e9:,.4g} GFLOP an example",
            "one train step": f"{self.step_flops / 1e9:,.4g} GFLOP",
            "state and batch": f"{self.state / mib:,.1f} MiB a device",
            "kept for backward": f"{self.kept / mib:,.1f} MiB a device",
        }
        if self.temporaries is not None:
            rows["temporaries"] = f"{self.temporaries / mib:,.1f} MiB a device"
            rows["compilation"] = f"{self.compile_seconds:.1f} s"
        return "\n".join(f"{name:<20} {value}" for name, value in rows.items())


def costs(record: Record, mesh: Mesh, compiled: bool = False) -> Costs:
    """Return the costs of a run's train step on a mesh: traces it, but allocates nothing and computes nothing.

    compiled: compile it too, for what the compiler alone can tell. Raises `InputError` on a backend that does not
    report the memory of a compiled program.
    """
    settings = record.experiment.training
    apply, params = nn.abstract(record.experiment.network, record.shape, record.experiment.compute)
    state, batch = abstract_state(record, mesh, params), record.batch(settings.batch_size)
    example, label = jax.ShapeDtypeStruct(record.shape, "float32"), jax.ShapeDtypeStruct((), "float32")
    numbers = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params))
    gradient, kept = _gradient(record, apply, params, settings.batch_size)
    found = Costs(
        numbers,
        _flops(jax.jit(apply).lower(params, example, label)),
        gradient + _update(settings, numbers),
        _bytes(state) + _bytes(batch) // mesh.size,
        kept * settings.batch_size // (mesh.size * settings.accumulate),
    )
    return replace(found, **_compiled(record, apply, mesh, state, batch)) if compiled else found


def _compiled(record: Record, apply: nn.Apply, mesh: Mesh, state: TrainState, batch: Any) -> dict[str, Any]:
    lowered = compiled_step(record, apply, mesh).one.lower(state, batch)
    began = time.monotonic()
    memory = lowered.compile().memory_analysis()
    if memory is None:
        raise InputError("this backend does not report the memory of a compiled program")
    return {"temporaries": memory.temp_size_in_bytes, "compile_seconds": time.monotonic() - began}


def _flops(program: jax.stages.Lowered) -> float:
    analysis: Any = program.cost_analysis()  # before XLA's passes, which hide products in calls that it cannot count
    return float(analysis["flops"])


def _bytes(tree: Any) -> int:
    """Return what a tree of shapes takes, on one device where they say how they are spread."""
    leaves = jax.tree.leaves(tree)
    shapes = [a.shape if a.sharding is None else a.sharding.shard_shape(a.shape) for a in leaves]
    return sum(math.prod(shape) * a.dtype.itemsize for shape, a in zip(shapes, leaves, strict=True))


def _gradient(record: Record, apply: nn.Apply, params: Params, count: int) -> tuple[float, int]:
    """Return the operations of the gradient of `count` examples, and the bytes kept for its backward part an example.

    What does not grow with the batch are parameters.
    """
    loss, kept = record.loss(apply), []

    def gradient(params: Params, batch: Any) -> Any:
        value, backward = jax.vjp(lambda p: loss(p, jax.random.key(0), batch), params)
        kept.append(_bytes(jax.tree.map(jax.typeof, backward)))
        return backward(jnp.ones_like(value))

    flops = _flops(jax.jit(gradient).lower(params, record.batch(count)))
    jax.eval_shape(lambda p, b: gradient(p, b)[0], params, record.batch(2 * count))
    return flops, (kept[1] - kept[0]) // count


def _update(settings: Training, numbers: int) -> float:
    """Return the operations of optimizer and averages, which treat every number alike: as of one array of them."""
    optimizer, average = settings.optimizer.transformation(), settings.average
    params = {"all": jax.ShapeDtypeStruct((numbers,), "float32")}
    state = jax.eval_shape(lambda p: TrainState.create(p, optimizer, average), params)

    def update(state: TrainState, gradient: Params) -> Any:
        updates, after = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        return after, params, average.update(state.averages, params, state.step, settings.batch_size)

    return _flops(jax.jit(update).lower(state, params))
