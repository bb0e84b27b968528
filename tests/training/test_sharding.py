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
import jax, jax.numpy as jnp, numpy as np, optax
from sde_jax import nn
from sde_jax.likelihood import Quantization
from sde_jax.objective import Objective, OptimalTransport
from sde_jax.sde import VP
from sde_jax.training import BatchLoss, ExponentialAverage, Geometric, MeshShape, Symmetry, TrainState
from sde_jax.training import make_step, place, sharded

SHAPE, BATCH = (8, 8, 1), 32
apply, params = nn.initialized(nn.MLP(width=64, depth=1, dropout=0.3), SHAPE, 0)
# The last layer starts at zero, behind which no gradient would reach the others.
def moved(params):
    return jax.tree.map(lambda p: p + 0.1 * jax.random.normal(jax.random.key(p.size), p.shape), params)

params = moved(params)
loss = BatchLoss(apply, VP(), Objective(), Quantization(17))
coupled = BatchLoss(apply, VP(), Objective(coupling=OptimalTransport()), Quantization(17))
hears = nn.Conditions({"label": nn.ClassLabel(5), "augmentation": nn.Vector(9)})
conditional_apply, conditional_params = nn.initialized(nn.MLP(width=64, depth=1, condition=hears), SHAPE, 0)
conditional_params = moved(conditional_params)
told_all = BatchLoss(
    conditional_apply, VP(), Objective(), Quantization(17), hears, 0.3, Geometric(0.5), Symmetry(turns=True)
)
labels = np.arange(BATCH, dtype=np.int32) % 6 - 1
images = np.random.default_rng(0).integers(0, 17, (3, BATCH, *SHAPE), np.uint8)

# Moves the parameters and keeps the gradient, which Adam's moments would hide a factor of.
optimizer = optax.GradientTransformation(
    lambda params: jax.tree.map(jnp.zeros_like, params),
    lambda gradient, state, params=None: (jax.tree.map(lambda g: -0.1 * g, gradient), gradient),
)

def laid_out(mesh, params=params):
    state = TrainState.create(jax.tree.map(jnp.copy, params), optimizer, ExponentialAverage())
    return jax.device_put(state, sharded(state, mesh))

def flat(tree):
    return np.concatenate([np.ravel(np.asarray(leaf)) for leaf in jax.tree.leaves(tree)]).tolist()

def step_of(mesh, loss=loss):
    return make_step(laid_out(mesh), loss, optimizer, ExponentialAverage(), 3, mesh)

def told(state, metrics):
    return flat((state.optimizer, metrics.loss, metrics.levels))

def after_one(mesh, **settings):
    return told(*step_of(mesh, **settings).one(laid_out(mesh), place({"data": images[0]}, mesh)))

def conditional(mesh, **settings):
    state = laid_out(mesh, conditional_params)
    step = make_step(state, told_all, optimizer, ExponentialAverage(), 3, mesh, **settings)
    return told(*step.one(state, place({"data": images[0], "label": labels}, mesh)))

def program(mesh):
    batch = place({"data": images[0]}, mesh)
    compiled = step_of(mesh).one.lower(laid_out(mesh), batch).compile()
    lines = compiled.as_text().splitlines()
    results = [line.split(" all-reduce")[0] for line in lines if re.search(r" all-reduce(-start)?\\(", line)]
    shapes = [shape for result in results for shape in re.findall(r"[fus]\\d+\\[([\\d,]*)\\]", result)]
    return {
        "arguments": compiled.memory_analysis().argument_size_in_bytes,
        "all_reduced": sum(int(np.prod([int(n) for n in shape.split(",") if n])) for shape in shapes),
        "all_reduces": len(results),
        "gathers": sum(bool(re.search(r" all-gather(-start)?\\(", line)) for line in lines),
        "gradient": told(*compiled(laid_out(mesh), batch)),
    }

def three_steps(mesh, several):
    step, state = step_of(mesh), laid_out(mesh)
    if several:
        return flat(step.several(state, place({"data": images}, mesh, stacked=True))[0].params)
    for batch in images:
        state, _ = step.one(state, place({"data": batch}, mesh))
    return flat(state.params)

assert jax.device_count() == 8
data, alone = MeshShape().over(), MeshShape().over(jax.devices()[:1])
pairs, full = MeshShape(2).over(), MeshShape(8).over()
print(json.dumps({
    "programs": {"alone": program(alone), "data": program(data), "pairs": program(pairs), "full": program(full)},
    "parts": [conditional(pairs, accumulate=2), conditional(alone)],
    "coupled": [after_one(mesh, loss=coupled) for mesh in (data, alone)],
    "three": [three_steps(alone, several) for several in (True, False)],
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
        timeout=900,
        env=environment,
        cwd=Path(__file__).parents[2],
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


def distance(ours: list, theirs: list) -> float:
    return float(np.linalg.norm(np.subtract(ours, theirs)) / np.linalg.norm(theirs))


@pytest.mark.parametrize("mesh", ["data", "pairs", "full"])
def test_gradient_loss_and_errors_by_level_are_those_of_one_device(measured, mesh):
    programs = measured["programs"]
    assert distance(programs[mesh]["gradient"], programs["alone"]["gradient"]) < 1e-6


def test_a_batch_in_parts_that_is_told_all_there_is_and_one_that_is_coupled_are_those_of_one_device_too(measured):
    assert distance(*measured["parts"]) < 1e-6
    assert distance(*measured["coupled"]) < 1e-6
    assert distance(measured["coupled"][0], measured["programs"]["alone"]["gradient"]) > 1e-2


def test_several_steps_a_call_are_as_many_single_ones(measured):
    assert distance(*measured["three"]) < 1e-6


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
