import functools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax import nn
from sde_jax.likelihood import Quantization
from sde_jax.objective import (
    HalfSum,
    Importance,
    Likelihood,
    Objective,
    Reflow,
    Simple,
    UniformLogSNR,
)
from sde_jax.sde import VP, GaussianPath
from sde_jax.training import (
    Adam,
    BatchLoss,
    ExponentialAverage,
    Levels,
    OnAnomaly,
    Skip,
    Stop,
    TrainState,
    TrainStep,
    by_example,
    data_mesh,
    level_edges,
    make_step,
    place,
    replicated,
)
from sde_jax.typing import Array

SHAPE, BATCH = (4, 4, 1), 16
BATCHES = [{"data": np.random.default_rng(n).integers(0, 17, (BATCH, *SHAPE), np.uint8)} for n in range(4)]
MESH = data_mesh()


class SmallLoss:
    """A small loss that, like the real one, draws: w x + b should be noise."""

    def draw(self, key, batch):
        return batch["data"].astype(jnp.float32), jax.random.normal(key, batch["data"].shape)

    def measure(self, params, examples):
        images, noise = examples
        errors = jnp.mean(jnp.square(params["w"] * images + params["b"] - noise), axis=(1, 2, 3))
        return errors.mean(), Levels(jnp.full(8, errors.sum()), jnp.full(8, 1.0 * len(errors)))


SMALL = SmallLoss()


# Rates at which an update moves parameters and averages by far more than rounding.
OPTIMIZER = Adam(0.05, warmup=0).transformation()


def start(step: int = 0) -> TrainState:
    params = {"w": jnp.full(SHAPE, 0.1, jnp.float32), "b": jnp.zeros(())}
    state = TrainState.create(params, OPTIMIZER, ExponentialAverage())
    return jax.device_put(replace(state, step=jnp.int32(step), position=jnp.int32(step)), replicated(MESH))


@functools.cache
def stepper(seed: int = 0, loss=SMALL, **settings):
    return make_step(start(), loss, OPTIMIZER, ExponentialAverage(), seed, MESH, **settings)


def after(seed: int, step: int, count: int = 1):
    state = start(step)
    for batch in BATCHES[:count]:
        state, _ = stepper(seed).one(state, place(batch, MESH))
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
    resumed, _ = stepper(1).one(jax.device_put(saved, replicated(MESH)), place(BATCHES[2], MESH))
    assert_bits_equal(jax.tree.map(np.asarray, resumed), after(seed=1, step=0, count=3))


def test_a_step_counts_itself_and_averages_its_own_parameters():
    before, new = start(4), after(seed=1, step=4)
    assert new.step == 5
    moved = np.abs(new.params["w"] - 0.1)
    assert moved.min() > 0.01
    # r = (1 + 5) / (10 + 5) of what was is left
    expected = jax.tree.map(lambda a, p: 0.4 * np.asarray(a) + 0.6 * p, before.averages, new.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), new.averages, expected)


class Extreme(SmallLoss):
    """Its loss is multiplied by what the first grey level of a batch stands for."""

    def measure(self, params, examples):
        value, levels = super().measure(params, examples)
        factors = jnp.array([1.0, jnp.nan, jnp.inf, 1000.0, 1e25])
        return value * factors[examples[0][0, 0, 0, 0].astype(int)], levels


@functools.cache
def careful(rule: OnAnomaly) -> TrainStep:
    return stepper(1, Extreme(), on_anomaly=rule)


def extreme(kind: int, n: int = 0) -> dict:
    images = BATCHES[n]["data"].copy()
    images[0, 0, 0, 0] = kind
    return place({"data": images}, MESH)


@pytest.mark.parametrize("kind", [1, 2, 3], ids=["nan", "inf", "loss times 1000"])
def test_a_step_that_is_left_out_changes_nothing_but_its_number_and_the_count(kind):
    state = start()
    for n in range(4):
        state, metrics = careful(Skip(spike=50.0, settled=4)).one(state, extreme(0, n))
        assert metrics.healthy
    before = jax.tree.map(np.asarray, state)
    after, metrics = careful(Skip(spike=50.0, settled=4)).one(state, extreme(kind))
    after = jax.tree.map(np.asarray, after)
    assert not metrics.healthy
    assert (int(after.step), int(after.position), int(after.health.skipped)) == (5, 5, 1)
    health = replace(before.health, skipped=np.int32(1))
    assert_bits_equal(after, replace(before, step=np.int32(5), position=np.int32(5), health=health))


def test_an_average_counts_updates_and_not_the_steps_that_were_left_out():
    """With r = (1 + n) / (10 + n) the third update keeps 4/13 of what was, whatever was left out before it."""
    state = start()
    for kind, n in ((0, 0), (1, 1), (0, 1), (2, 2), (2, 3)):
        state, _ = careful(Skip(spike=50.0, settled=4)).one(state, extreme(kind, n))
    before = jax.tree.map(np.asarray, state)
    assert int(before.health.skipped) == 3
    new, metrics = careful(Skip(spike=50.0, settled=4)).one(state, extreme(0, 2))
    assert metrics.healthy
    expected = jax.tree.map(lambda a, p: 4 / 13 * a + 9 / 13 * np.asarray(p), before.averages, new.params)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), new.averages, expected)


def test_an_infinite_gradient_of_a_finite_loss_changes_nothing_either():
    before = jax.tree.map(np.asarray, start())
    after, metrics = careful(Stop()).one(start(), extreme(4))
    after = jax.tree.map(np.asarray, after)
    assert np.isfinite(metrics.loss)
    assert np.isinf(metrics.gradient_norm)
    for part in ("params", "averages", "optimizer"):
        assert_bits_equal(getattr(after, part), getattr(before, part))


def test_a_spike_is_judged_by_the_mean_of_the_healthy_steps_before():
    state = start()
    for kind, expected in ((0, True), (3, True), (0, True), (0, True), (3, True)):
        # the mean of the first four holds a spike itself, of which another is no more than 50 times
        state, metrics = careful(Skip(spike=50.0, settled=4)).one(state, extreme(kind))
        assert bool(metrics.healthy) is expected
    losses = [float(careful(Stop()).one(start(), extreme(kind))[1].loss) for kind in (0, 3)]
    assert losses[1] == pytest.approx(1000 * losses[0], rel=1e-2)


def test_a_gradient_over_parts_of_a_batch_is_that_of_the_whole():
    whole, parts = (stepper(1, accumulate=n).one(start(), place(BATCHES[0], MESH)) for n in (1, 4))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-9), whole, parts)


def test_errors_by_noise_level_sum_to_all_of_them():
    silent = lambda params, x, label, key: jnp.zeros_like(x)  # noqa: E731
    loss = BatchLoss(silent, VP(), Objective(times=UniformLogSNR(1e-3)), Quantization(17))
    examples = loss.draw(jax.random.key(0), {"data": jnp.zeros((4000, *SHAPE), jnp.uint8)})
    value, levels = loss.measure({}, examples)
    assert float(levels.counts.sum()) == 4000
    assert float(levels.sums.sum() / 4000) == pytest.approx(float(value), rel=1e-5)
    # times even in log-SNR fill the buckets, which are, alike
    assert levels.counts[1:-1] == pytest.approx(np.full(6, 500), rel=0.05)
    edges, errors = level_edges(loss.sde), np.asarray(levels.sums / levels.counts)
    assert (np.diff(edges) > 0).all()
    # of a network that says 0 for eps the error of eps is 1 in each, but for the noise of so many draws
    assert errors == pytest.approx(np.ones(8), rel=0.1)


def test_what_a_step_draws_follows_the_batch_it_reads_and_not_its_number():
    batch = place(BATCHES[0], MESH)
    rolled_back, straight = (stepper(1).one(replace(start(step), position=jnp.int32(9)), batch)[0] for step in (2, 9))
    assert_bits_equal(rolled_back.params, straight.params)
    assert (int(rolled_back.step), int(rolled_back.position)) == (3, 10)


def test_averages_count_the_updates_that_were_made():
    state = careful(Skip()).one(start(6), extreme(1))[0]  # the seventh step is left out
    before = jax.tree.map(np.asarray, state.averages)
    after, _ = careful(Skip()).one(state, extreme(0))
    expected = ExponentialAverage().update(before, after.params, jnp.int32(7), BATCH)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), after.averages, expected)


def test_the_state_is_donated():
    state = start()
    stepper(1).one(state, place(BATCHES[0], MESH))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves((state.params, state.averages, state.optimizer)))


def test_the_second_call_does_not_compile_again(compilations):
    traces = []

    class Traced(SmallLoss):
        def draw(self, key, batch):
            traces.append(key)
            return super().draw(key, batch)

    step, batches = stepper(1, Traced()).one, [place(batch, MESH) for batch in BATCHES]
    state, _ = step(start(), batches[0])
    before = compilations()
    for batch in batches[1:]:
        state, _ = step(state, batch)
    assert len(traces) == 1
    assert compilations() == before


def test_a_batch_is_split_by_example_and_everything_else_is_on_every_device():
    state, metrics = stepper(1).one(start(), place(BATCHES[0], MESH))
    assert place(BATCHES[0], MESH)["data"].sharding == by_example(MESH)
    for leaf in jax.tree.leaves((state, metrics)):
        assert leaf.sharding.is_equivalent_to(replicated(MESH), leaf.ndim)


def loss_of_silence(objective: Objective, sde: GaussianPath) -> Array:
    """The loss of a network that returns 0, on the first batch."""
    silent = lambda params, x, label, key: jnp.zeros_like(x)  # noqa: E731
    return BatchLoss(silent, sde, objective, Quantization(17))({}, jax.random.key(0), BATCHES[0])


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


def test_a_step_in_bfloat16_keeps_parameters_averages_and_moments_in_float32():
    apply, params = nn.initialized(nn.MLP(width=8, depth=1), SHAPE, 0, nn.Compute(bfloat16=True))
    optimizer, mesh = Adam(warmup=1).transformation(), data_mesh()
    loss = BatchLoss(apply, VP(), Objective(), Quantization(17))
    state = jax.device_put(TrainState.create(params, optimizer, ExponentialAverage()), replicated(mesh))
    batch, before = place(BATCHES[0], mesh), np.array(params["exit"]["kernel"])
    assert "bf16" in str(jax.make_jaxpr(loss)(params, jax.random.key(0), batch))
    after, metrics = make_step(state, loss, optimizer, ExponentialAverage(), 3, mesh).one(state, batch)
    kept = [leaf.dtype for leaf in jax.tree.leaves(after) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert set(kept) == {jnp.dtype("float32")}
    assert np.isfinite(metrics.loss)
    # the first rate is 2e-4, which bfloat16 would lose beside a weight of 1
    assert 0 < np.abs(after.params["exit"]["kernel"] - before).max() <= 2.1e-4
