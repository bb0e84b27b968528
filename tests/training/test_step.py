import functools
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sde_jax import nn
from sde_jax.likelihood import Quantization
from sde_jax.objective import (
    HalfSum,
    Importance,
    Likelihood,
    Objective,
    OptimalTransport,
    Reflow,
    Simple,
    UniformLogSNR,
)
from sde_jax.sde import VP, GaussianPath
from sde_jax.training import (
    Adam,
    ExponentialAverage,
    TrainState,
    batch_loss,
    by_example,
    data_mesh,
    make_step,
    place,
    replicated,
)
from sde_jax.typing import Array

SHAPE, BATCH = (4, 4, 1), 16
BATCHES = [{"image": np.random.default_rng(n).integers(0, 17, (BATCH, *SHAPE), np.uint8)} for n in range(4)]
MESH = data_mesh()


def draw(key, batch):
    """A small loss that, like the real one, draws from its key: w x, b should be noise."""
    return jax.random.normal(key, batch["image"].shape)


def small_loss(params, key, batch):
    return jnp.mean(jnp.square(params["w"] * batch["image"] + params["b"] - draw(key, batch)))


def start(step: int = 0) -> TrainState:
    params = {"w": jnp.full(SHAPE, 0.1, jnp.float32), "b": jnp.zeros(())}
    state = TrainState.create(params, Adam().transformation(), ExponentialAverage())
    return jax.device_put(TrainState(**{**vars(state), "step": jnp.int32(step)}), replicated(MESH))


@functools.cache
def stepper(seed: int = 0, loss=small_loss):
    return make_step(loss, Adam().transformation(), ExponentialAverage(), seed, MESH)


def after(seed: int, step: int, count: int = 1):
    state = start(step)
    for batch in BATCHES[:count]:
        state, _ = stepper(seed)(state, place(batch, MESH))
    return jax.tree.map(np.asarray, state)


def assert_bits_equal(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_a_step_is_a_function_of_seed_and_step():
    assert_bits_equal(after(seed=1, step=7), after(seed=1, step=7))
    for seed, step in ((2, 7), (1, 8)):
        # Adam's first update is a sign alone; its moments are not.
        leaves = zip(*(jax.tree.leaves(state.optimizer) for state in (after(1, 7), after(seed, step))), strict=True)
        assert any(not np.array_equal(a, b) for a, b in leaves)


def test_three_steps_are_two_and_then_one_from_what_was_saved():
    saved = after(seed=1, step=0, count=2)
    resumed, _ = stepper(1)(jax.device_put(saved, replicated(MESH)), place(BATCHES[2], MESH))
    assert_bits_equal(jax.tree.map(np.asarray, resumed), after(seed=1, step=0, count=3))


def test_a_step_counts_itself_and_averages_its_own_parameters():
    before, new = start(4), after(seed=1, step=4)
    assert new.step == 5
    expected = ExponentialAverage().update(before.averages, new.params, jnp.int32(5), BATCH)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), new.averages, expected)


def test_the_state_is_donated():
    state = start()
    stepper(1)(state, place(BATCHES[0], MESH))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.params, state.averages, state.optimizer)))


def test_the_second_call_does_not_compile_again():
    traces = []

    def loss(params, key, batch):
        traces.append(key)
        return small_loss(params, key, batch)

    step, state = stepper(1, loss), start()
    for batch in BATCHES:
        state, _ = step(state, place(batch, MESH))
    assert len(traces) == 1
    assert step._cache_size() == 1


def test_a_batch_is_split_by_example_and_everything_else_is_on_every_device():
    state, metrics = stepper(1)(start(), place(BATCHES[0], MESH))
    assert place(BATCHES[0], MESH)["image"].sharding == by_example(MESH)
    for leaf in jax.tree.leaves((state, metrics)):
        assert leaf.sharding.is_equivalent_to(replicated(MESH), leaf.ndim)


def loss_of_silence(objective: Objective, sde: GaussianPath) -> Array:
    """The loss of a network that returns 0, on the first batch."""
    silent = lambda params, x, label, key: jnp.zeros_like(x)  # noqa: E731
    return batch_loss(silent, sde, objective, Quantization(17))({}, jax.random.key(0), BATCHES[0])


def test_a_batch_is_coupled_reduced_and_corrected_as_the_objective_says():
    sde, size = VP(), int(np.prod(SHAPE))
    pairs = Reflow(jnp.zeros((3, *SHAPE)), jnp.full((3, *SHAPE), 2.0))
    assert loss_of_silence(Objective(coupling=pairs), sde) == pytest.approx(4.0, rel=1e-5)
    assert loss_of_silence(Objective(coupling=pairs, reduction=HalfSum()), sde) == pytest.approx(2.0 * size, rel=1e-5)
    # g^2 / sigma^2 = -2 lambda', so that the correction leaves nothing of the weight but a constant
    simple = loss_of_silence(Objective(weighting=Simple(), times=UniformLogSNR(1e-3)), sde)
    likelihood = loss_of_silence(Objective(weighting=Likelihood(), times=Importance(1e-3)), sde)
    fall = float(sde.log_snr(1e-3) - sde.log_snr(1.0))
    assert likelihood / simple == pytest.approx(2 * fall / (1 - 1e-3), rel=1e-4)


def keeps_the_gradient() -> optax.GradientTransformation:
    """An optimizer that moves nothing and whose state is the last gradient."""
    zeros = lambda tree: jax.tree.map(jnp.zeros_like, tree)  # noqa: E731
    return optax.GradientTransformation(zeros, lambda gradient, state, params=None: (zeros(gradient), gradient))


def gradient_on(mesh) -> np.ndarray:
    """The gradient of the real loss, and the loss, as one vector."""
    apply, params = nn.initialized(nn.MLP(width=8, depth=1, dropout=0.3), SHAPE, 0)
    loss = batch_loss(apply, VP(), Objective(coupling=OptimalTransport()), Quantization(17))
    # The last layer starts at zero, behind which no gradient would reach the others.
    params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params)
    state = jax.device_put(TrainState.create(params, keeps_the_gradient(), ExponentialAverage()), replicated(mesh))
    step = make_step(loss, keeps_the_gradient(), ExponentialAverage(), 3, mesh)
    state, metrics = step(state, place(BATCHES[0], mesh))
    gradient = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(state.optimizer)])
    assert float(metrics.gradient_norm) == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
    return np.append(gradient, float(metrics.loss))


@pytest.mark.slow
def test_the_gradient_on_eight_devices_is_that_on_one():
    # Gradients, since Adam hides a factor; on a mesh of eight and on its first device, in one process of eight.
    program = (
        "import importlib.util, sys, jax, numpy as np\n"
        "spec = importlib.util.spec_from_file_location('steps', sys.argv[1])\n"
        "steps = importlib.util.module_from_spec(spec); spec.loader.exec_module(steps)\n"
        "assert jax.device_count() == 8\n"
        "from sde_jax.training import data_mesh\n"
        "one, eight = steps.gradient_on(data_mesh(jax.devices()[:1])), steps.gradient_on(data_mesh())\n"
        "norm = np.linalg.norm\n"
        "print(norm(eight - one) / norm(one), abs(one[-1] / eight[-1] - 1), norm(one))\n"
    )
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", program, str(Path(__file__))]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert result.returncode == 0, result.stderr
    gradients, losses, size = map(float, result.stdout.split())
    assert size > 0.1
    assert gradients < 1e-6
    assert losses < 1e-6


def test_a_step_in_bfloat16_keeps_parameters_averages_and_moments_in_float32():
    apply, params = nn.initialized(nn.MLP(width=8, depth=1), SHAPE, 0, nn.Compute(bfloat16=True))
    optimizer, mesh = Adam(warmup=1).transformation(), data_mesh()
    loss = batch_loss(apply, VP(), Objective(), Quantization(17))
    state = jax.device_put(TrainState.create(params, optimizer, ExponentialAverage()), replicated(mesh))
    batch, before = place(BATCHES[0], mesh), np.array(params["exit"]["kernel"])
    assert "bf16" in str(jax.make_jaxpr(loss)(params, jax.random.key(0), batch))
    after, metrics = make_step(loss, optimizer, ExponentialAverage(), 3, mesh)(state, batch)
    kept = [leaf.dtype for leaf in jax.tree.leaves(after) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert set(kept) == {jnp.dtype("float32")}
    assert np.isfinite(metrics.loss)
    # the first rate is 2e-4, which bfloat16 would lose beside a weight of 1
    assert 0 < np.abs(after.params["exit"]["kernel"] - before).max() <= 2.1e-4
