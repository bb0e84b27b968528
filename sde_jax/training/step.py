"""The train step: one jitted function."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh
from jaxtyping import Float

from sde_jax.likelihood import Quantization
from sde_jax.nn import Apply
from sde_jax.objective import Objective, matching_error
from sde_jax.prediction import denoiser
from sde_jax.sde import GaussianPath
from sde_jax.training.averages import Average
from sde_jax.training.mesh import by_example, replicated
from sde_jax.training.state import TrainState
from sde_jax.typing import Array, Batch, Key, Params, Time

Loss = Callable[[Params, Key, Batch], Float[Array, ""]]


class Metrics(NamedTuple):
    """What a step reports: the batch's mean loss and the gradient's global norm before clipping, [] float32."""

    loss: Array
    gradient_norm: Array


def batch_loss(apply: Apply, sde: GaussianPath, objective: Objective, quantization: Quantization) -> Loss:
    """Return (params, key, batch) -> the mean matching error of the dequantised batch, corrected for its times."""

    def draw(key: Key, image: Array) -> tuple[Array, Array, Key]:
        noise, cell, dropout = jax.random.split(key, 3)
        x0 = quantization.dequantize(cell, image)
        return x0, sde.noise(noise, x0.shape, x0.dtype), dropout

    def example(params: Params, key: Key, x0: Array, eps: Array, t: Time) -> Array:
        network = lambda x, label: apply(params, x, label, key=key)  # noqa: E731
        denoise = denoiser(network, sde, objective.parameterization)
        error = matching_error(sde, denoise, x0, eps, t, objective.weighting, objective.reduction)
        return objective.times.correction(sde, t) * error

    def loss(params: Params, key: Key, batch: Batch) -> Array:
        first, second, third = jax.random.split(key, 3)
        images = batch["image"]
        x0, eps, dropout = jax.vmap(draw)(jax.random.split(first, len(images)), images)
        x0, eps = objective.coupling.pair(third, x0, eps)
        t = objective.times.draw(second, len(images), sde)
        return jnp.mean(jax.vmap(example, in_axes=(None, 0, 0, 0, 0))(params, dropout, x0, eps, t))

    return loss


def make_step(
    loss: Loss, optimizer: optax.GradientTransformation, average: Average, seed: int, mesh: Mesh
) -> jax.stages.Wrapped:
    """Return the step (state, batch) -> (state, metrics), jitted over the mesh, the state donated.

    Step n draws from the key of `seed` folded with n, so that a run is a function of its seed and its data alone.
    """

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(jax.random.key(seed), state.step)
        value, gradient = jax.value_and_grad(loss)(state.params, key, batch)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        n = state.step + 1
        averages = average.update(state.averages, params, n, len(batch["image"]))
        return TrainState(n, params, averages, optimizer_state), Metrics(value, optax.tree.norm(gradient))

    whole, split = replicated(mesh), by_example(mesh)
    return jax.jit(step, in_shardings=(whole, split), out_shardings=(whole, whole), donate_argnums=0)
