"""How much of what its devices can do a run's train step is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
from jax.sharding import Mesh

from sde_jax import nn
from sde_jax.model import Record
from sde_jax.training import flop_utilization, peak_flops, product_flops
from sde_jax.typing import Params


def utilization(record: Record, mesh: Mesh) -> Callable[[float], float | None]:
    """Return the model FLOP utilisation of a train step as a function of its seconds.

    None on devices whose peak is not known: nothing is traced for them.
    """
    kind = mesh.devices.flat[0].device_kind
    if peak_flops(kind) is None:
        return lambda seconds: None
    flops = step_flops(record)
    return lambda seconds: flop_utilization(flops, seconds, mesh.size, kind)


def step_flops(record: Record) -> int:
    """Return the FLOPs of the products in the loss of a whole batch and its gradient.

    What is computed again for the backward pass, to save memory, is not counted; nor are optimizer and averages, which
    have no products.
    """
    experiment = record.experiment
    compute = replace(experiment.compute, rematerialization=nn.KeepAll())
    apply, params = nn.abstract(experiment.network, record.shape, compute)
    loss = record.loss(apply)

    def gradient(params: Params, batch: Any) -> Params:
        return jax.grad(loss)(params, jax.random.key(0), batch)

    return product_flops(gradient, params, record.batch(experiment.training.batch_size))
