"""What a run's train step costs, read off the traced and the compiled program."""

import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import jax
from jax.sharding import Mesh

from sde_jax import nn
from sde_jax.commands.train import compiled_step
from sde_jax.commands.workdir import abstract_state
from sde_jax.errors import InputError
from sde_jax.model import Record
from sde_jax.typing import Params


@dataclass(frozen=True)
class Costs:
    """The costs of a train step, memory in bytes a device.

    parameters: numbers; evaluation_flops: floating-point operations of the network on one example; step_flops: of a
    train step on the whole batch, rematerialisation included; state: parameters, averages, optimizer and batch; kept:
    what the forward evaluation leaves for the backward one, by the traced program; temporaries: what the compiled
    program needs beside the state, whose order of work is the compiler's; compile_seconds: little where the program
    is in the compilation cache.
    """

    parameters: int
    evaluation_flops: float
    step_flops: float
    state: int
    kept: int
    temporaries: int
    compile_seconds: float

    def to_json(self) -> dict[str, float]:
        """Return the fields."""
        return asdict(self)

    def __str__(self) -> str:
        """Return a table."""
        mib = 2**20
        rows = {
            "parameters": f"{self.parameters:,}",
            "one evaluation": f"{self.evaluation_flops / 1e9:,.4g} GFLOP an example",
            "one train step": f"{self.step_flops / 1e9:,.4g} GFLOP",
            "state and batch": f"{self.state / mib:,.1f} MiB a device",
            "kept for backward": f"{self.kept / mib:,.1f} MiB a device",
            "temporaries": f"{self.temporaries / mib:,.1f} MiB a device",
            "compilation": f"{self.compile_seconds:.1f} s",
        }
        return "\n".join(f"{name:<20} {value}" for name, value in rows.items())


def costs(record: Record, mesh: Mesh) -> Costs:
    """Return the costs of a run's train step on a mesh: compiles it, but allocates nothing and computes nothing.

    Raises `InputError` on a backend that does not report the memory of a compiled program.
    """
    experiment = record.experiment
    apply, params = nn.abstract(experiment.network, record.shape, experiment.compute)
    state = abstract_state(record, mesh)
    batch = record.batch(experiment.training.batch_size)
    lowered = compiled_step(record, apply, mesh).one.lower(state, batch)
    began = time.monotonic()
    memory = lowered.compile().memory_analysis()
    seconds = time.monotonic() - began
    if memory is None:
        raise InputError("this backend does not report the memory of a compiled program")
    example, label = jax.ShapeDtypeStruct(record.shape, "float32"), jax.ShapeDtypeStruct((), "float32")
    return Costs(
        sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(params)),
        _flops(jax.jit(apply).lower(params, example, label)),
        _flops(lowered),
        memory.argument_size_in_bytes,
        _kept(record, apply, params) * experiment.training.batch_size // mesh.size,
        memory.temp_size_in_bytes,
        seconds,
    )


def _flops(program: jax.stages.Lowered) -> float:
    analysis: Any = program.cost_analysis()  # before XLA's passes, which hide products in calls that it cannot count
    return float(analysis["flops"])


def _kept(record: Record, apply: nn.Apply, params: Params) -> int:
    """Return the bytes kept for one example more: what does not grow with the batch are parameters."""
    loss = record.loss(apply)

    def backward(params: Params, batch: Any) -> Any:
        return jax.vjp(lambda p: loss(p, jax.random.key(0), batch), params)[1]

    def size(examples: int) -> int:
        residuals = jax.tree.leaves(jax.eval_shape(backward, params, record.batch(examples)))
        return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in residuals)

    return size(2) - size(1)
