"""Averages as a train step and a checkpoint meet them; in float32, as training is."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.training import (
    Adam,
    Average,
    Checkpoints,
    ExponentialAverage,
    HalfLife,
    Levels,
    PowerAverages,
    Several,
    TrainState,
    abstract,
    data_mesh,
    make_step,
    place,
    replicated,
)

MESH, BATCH = data_mesh(), 8
OPTIMIZER = Adam(0.1, warmup=0).transformation()


@pytest.fixture(autouse=True)
def float64():
    """None of it."""


@dataclass(frozen=True)
class Told(Average):
    """Carries what it was told last."""

    def update(self, averages, params, step, batch_size):
        return jax.tree.map(lambda _: jnp.float32(1000 * step + batch_size), averages)


def start(average: Average) -> TrainState:
    return jax.device_put(TrainState.create({"w": jnp.zeros(())}, OPTIMIZER, average), replicated(MESH))


class Distance:
    """The squared distance of a parameter from the images."""

    def draw(self, key, batch):
        return batch["data"].astype(jnp.float32)

    def measure(self, params, examples):
        return jnp.mean((params["w"] - examples) ** 2), Levels(jnp.zeros(8), jnp.zeros(8))


def steps(average: Average, state: TrainState, count: int) -> TrainState:
    step = make_step(state, Distance(), OPTIMIZER, average, 0, MESH).one
    for n in range(int(state.step), int(state.step) + count):
        state, _ = step(state, place({"data": np.full((BATCH, 1), n, np.uint8)}, MESH))
    return state


def test_a_step_tells_its_average_its_number_from_one_and_the_examples_in_it():
    assert float(steps(Told(), start(Told()), 3).averages["w"]) == 3000 + BATCH


def test_averages_go_on_from_a_checkpoint_bit_for_bit(tmp_path):
    power = PowerAverages((0.05, 0.1, 0.2))
    average = Several({"power": power, "short": HalfLife(20), "old": ExponentialAverage(0.9)}, "short")
    half = steps(average, start(average), 3)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(half, {})
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore(abstract(half, replicated(MESH)))
    resumed, whole = steps(average, restored, 3), steps(average, start(average), 6)
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)
    assert len({float(a["w"]) for a in average.named(whole.averages).values()}) == 5
