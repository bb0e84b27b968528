"""The train step on eight virtual devices, in a process of its own: what it computes, sends and keeps."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = """
import json, re, sys
from dataclasses import replace
import jax, jax.numpy as jnp, numpy as np, optax
from sde_jax import nn
from sde_jax.likelihood import Quantization
from sde_jax.objective import Objective, OptimalTransport
from sde_jax.sde import VP
from sde_jax.training import Adam, BatchLoss, ExponentialAverage, MeshShape, TrainState, make_step, place, sharded

SHAPE, BATCH = (8, 8, 1), 32
apply, params = nn.initialized(nn.MLP(width=64, depth=1, dropout=0.3), SHAPE, 0)
# The last layer starts at zero, behind which no gradient would reach the others.
params = jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params)
loss = BatchLoss(apply, VP(), Objective(), Quantization(17))
coupled = BatchLoss(apply, VP(), Objective(coupling=OptimalTransport()), Quantization(17))
images = np.random.default_rng(0).integers(0, 17, (3, BATCH, *SHAPE), np.uint8)

def keeps_the_gradient():
    zeros = lambda tree: jax.tree.map(jnp.zeros_like, tree)
    return optax.GradientTransformation(zeros, lambda gradient, state, params=None: (zeros(gradient), gradient))

def laid_out(optimizer, mesh):
    state = TrainState.create(jax.tree.map(jnp.copy, params), optimizer, ExponentialAverage())
    return jax.device_put(state, sharded(state, mesh))

def gradient(mesh, accumulate=1):
    optimizer = keeps_the_gradient()
    state = laid_out(optimizer, mesh)
    step = make_step(state, coupled, optimizer, ExponentialAverage(), 3, mesh, accumulate=accumulate)
    state, metrics = step.one(state, place({"image": images[0]}, mesh))
    leaves = jax.tree.leaves((state.optimizer, metrics.loss, metrics.levels))
    return np.concatenate([np.ravel(np.asarray(leaf)) for leaf in leaves]).tolist()

def program(mesh):
    optimizer = Adam(1e-2, warmup=1).transformation()
    state = laid_out(optimizer, mesh)
    step = make_step(state, loss, optimizer, ExponentialAverage(), 3, mesh)
    compiled = step.one.lower(state, place({"image": images[0]}, mesh)).compile()
    lines = compiled.as_text().splitlines()
    results = [line.split(" all-reduce")[0] for line in lines if re.search(r" all-reduce(-start)?\\(", line)]
    shapes = [shape for result in results for shape in re.findall(r"[fus]\\d+\\[([\\d,]*)\\]", result)]
    return {
        "arguments": compiled.memory_analysis().argument_size_in_bytes,
        "all_reduced": sum(int(np.prod([int(n) for n in shape.split(",") if n])) for shape in shapes),
        "all_reduces": len(results),
        "gathers": sum(bool(re.search(r" all-gather(-start)?\\(", line)) for line in lines),
    }

def trained(mesh, several):
    optimizer = Adam(1e-2, warmup=1).transformation()
    state = laid_out(optimizer, mesh)
    step = make_step(state, loss, optimizer, ExponentialAverage(), 3, mesh)
    if several:
        state, metrics = step.several(state, place({"image": images}, mesh, stacked=True))
    else:
        for batch in images:
            state, metrics = step.one(state, place({"image": batch}, mesh))
    return np.concatenate([np.ravel(np.asarray(p)) for p in jax.tree.leaves(state.params)]).tolist()

assert jax.device_count() == 8
whole, pairs, alone = MeshShape().over(), MeshShape(2).over(), MeshShape().over(jax.devices()[:1])
full = MeshShape(8).over()
print(json.dumps({
    "one": gradient(alone), "eight": gradient(whole), "pairs": gradient(pairs), "full": gradient(full),
    "parts": gradient(pairs, accumulate=2),
    "single": trained(pairs, several=False), "several": trained(pairs, several=True),
    "state": sum(leaf.nbytes for leaf in jax.tree.leaves(laid_out(Adam().transformation(), alone))),
    "programs": {"alone": program(alone), "data": program(whole), "pairs": program(pairs), "full": program(full)},
    "parameters": sum(p.size for p in jax.tree.leaves(params)),
}))
"""


@pytest.fixture(scope="module")
def measured() -> dict:
    environment = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def distance(ours: list, theirs: list) -> float:
    return float(np.linalg.norm(np.subtract(ours, theirs)) / np.linalg.norm(theirs))


@pytest.mark.parametrize("mesh", ["eight", "pairs", "full", "parts"])
def test_gradient_loss_and_errors_by_level_are_those_of_one_device(measured, mesh):
    # Gradients, since Adam hides a factor.
    assert distance(measured[mesh], measured["one"]) < 1e-6


def test_several_steps_a_call_are_as_many_single_ones(measured):
    assert distance(measured["several"], measured["single"]) < 1e-6


def test_data_parallel_reduces_the_parameters_once_a_step(measured):
    program = measured["programs"]["data"]
    loss_and_levels = 17
    assert program["all_reduced"] == measured["parameters"] + loss_and_levels
    assert (program["all_reduces"], program["gathers"]) == (1, 0)


@pytest.mark.parametrize(("mesh", "shares"), [("pairs", 2), ("full", 8)])
def test_the_state_on_a_device_shrinks_with_the_devices_that_share_it(measured, mesh, shares):
    # but for the batch and the arrays too small to be split
    share = measured["programs"][mesh]["arguments"] / measured["programs"]["alone"]["arguments"]
    assert 1 / shares <= share < 1 / shares + 0.03
    assert measured["programs"][mesh]["gathers"] > 0
