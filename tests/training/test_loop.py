import itertools
import re
from dataclasses import dataclass, field, replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from sde_jax import nn
from sde_jax.data import Arrays, batches
from sde_jax.errors import InputError, RunError
from sde_jax.likelihood import Quantization
from sde_jax.objective import Objective, Simple, UniformLogSNR, denoising_score_matching
from sde_jax.prediction import EDM, denoiser, exact
from sde_jax.sde import VP
from sde_jax.training import (
    Adam,
    BatchLoss,
    Events,
    ExponentialAverage,
    Guard,
    Interruption,
    Levels,
    Metrics,
    Plan,
    Stop,
    TrainState,
    TrainStep,
    data_mesh,
    make_step,
    train,
)
from sde_jax.training.loop import AHEAD

SOURCE = Arrays(np.zeros((10, 1, 1, 1), np.uint8))


@dataclass
class Diary:
    """Events that are written down."""

    entries: list = field(default_factory=list)
    losses: list = field(default_factory=list)
    ended: list = field(default_factory=list)

    def events(self) -> Events:
        def log(state, rows):
            self.entries.append(("log", int(state.step)))
            self.losses.extend((row.step, float(row.metrics.loss)) for row in rows)

        return Events(log, lambda state: self.entries.append(("save", int(state.step))), self.ended.append)

    @property
    def saves(self) -> list:
        return [n for kind, n in self.entries if kind == "save"]


def counting(loss=lambda n: 1.0, interruption: Interruption | None = None, stop_at: int = -1) -> TrainStep:
    """A step that does nothing but count, with the loss of update n."""

    def one(state: TrainState, batch):
        n = int(state.step) + 1
        if n == stop_at and interruption is not None:
            interruption.signal = 15
        value = np.float32(loss(n))
        levels = Levels(np.zeros(8), np.zeros(8))
        after = replace(state, step=jnp.int32(n), position=state.position + 1)
        return after, Metrics(value, np.float32(1), np.isfinite(value), levels, np.array(False))

    def several(state: TrainState, batches):
        metrics = []
        for _ in batches["data"]:
            state, reported = one(state, None)
            metrics.append(reported)
        return state, jax.tree.map(lambda *a: np.stack(a), *metrics)

    return TrainStep(one, several)  # type: ignore[arg-type]


def run(step, plan: Plan, diary: Diary, first: int = 0, interruption=None, stream=None, rule=None) -> TrainState:
    state = replace(
        TrainState.create({}, optax.identity(), ExponentialAverage()), step=jnp.int32(first), position=jnp.int32(first)
    )
    stream = batches(SOURCE, batch_size=2, seed=0, start=first) if stream is None else stream
    guard = Guard(Stop() if rule is None else rule, lambda batch: np.array([batch]), lambda anomaly: None)
    interruption = Interruption() if interruption is None else interruption
    return train(state, step, stream, data_mesh(), plan, diary.events(), guard, interruption)


def test_the_loop_logs_and_saves_when_due_and_at_the_end():
    diary = Diary()
    assert int(run(counting(float), Plan(10, log_every=2, save_every=4), diary).step) == 10
    assert diary.saves == [4, 8, 10]
    assert [n for kind, n in diary.entries if kind == "log"] == [2, 4, 6, 8, 10]
    assert diary.losses == [(n, float(n)) for n in range(1, 11)]


def test_a_resumed_loop_goes_on_from_its_step():
    diary = Diary()
    run(counting(float), Plan(10, log_every=5, save_every=4), diary, first=7)
    assert diary.losses == [(8, 8.0), (9, 9.0), (10, 10.0)]
    assert diary.saves == [8, 10]


def test_every_loss_is_logged_before_it_is_saved():
    diary = Diary()
    run(counting(), Plan(9, log_every=7, save_every=3), diary)
    assert diary.entries == [("log", 3), ("save", 3), ("log", 6), ("save", 6), ("log", 7), ("log", 9), ("save", 9)]


@pytest.mark.parametrize("per_call", [2, 3, 5])
def test_several_steps_a_call_change_nothing_but_the_calls(per_call):
    one, several = Diary(), Diary()
    for diary, count in ((one, 1), (several, per_call)):
        run(counting(float), Plan(23, log_every=6, save_every=10, per_call=count), diary)
    assert (one.entries, one.losses) == (several.entries, several.losses)
    calls = list(Plan(23, 6, 10, per_call).calls(0))
    assert sum(calls) == 23
    assert per_call in calls


def test_the_host_is_never_more_than_a_few_calls_ahead_of_the_device():
    diary = Diary()
    run(counting(), Plan(10, log_every=10, save_every=10), diary)
    assert diary.ended == list(range(1, 11 - AHEAD))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("at", [1, 4, 5, 6, 10])
def test_nothing_is_logged_or_saved_from_a_loss_that_is_not_finite_on(at, bad):
    diary = Diary()
    with pytest.raises(RunError, match=f"^step {at}: "):
        run(counting(lambda n: bad if n == at else 1.0), Plan(10, log_every=3, save_every=5), diary)
    assert all(n < at for _, n in diary.entries)


def test_an_interrupted_loop_saves_the_step_it_has_reached_and_ends():
    diary, interruption = Diary(), Interruption()
    state = run(counting(float, interruption, stop_at=7), Plan(10, 5, 4), diary, interruption=interruption)
    assert int(state.step) == 7
    assert diary.entries[-2:] == [("log", 7), ("save", 7)]


def test_an_interrupted_loop_does_not_save_a_loss_that_is_not_finite():
    diary, interruption = Diary(), Interruption()
    step = counting(lambda n: np.nan if n == 7 else 1.0, interruption, stop_at=7)
    with pytest.raises(RunError, match=r"^step 7:"):
        run(step, Plan(10, 5, 4), diary, interruption=interruption)
    assert 7 not in diary.saves


def some(count: int, error: Exception | None):
    yield from itertools.islice(batches(SOURCE, batch_size=2, seed=0), count)
    if error is not None:
        raise error


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (None, RunError, "step 7: the data cannot be read (they ended); the steps before it are saved"),
        (ValueError("no"), RunError, "step 7: the data cannot be read (ValueError: no); the steps before it are saved"),
        (InputError("7.png"), InputError, "7.png; step 6 is saved, and the same command goes on from there"),
    ],
)
def test_data_that_end_or_cannot_be_read_lose_no_step_before(error, kind, told):
    diary = Diary()
    with pytest.raises(kind, match=f"^{re.escape(told)}$"):
        run(counting(float), Plan(10, 5, 4), diary, stream=some(6, error))
    assert diary.entries[-2:] == [("log", 6), ("save", 6)]
    assert [n for n, _ in diary.losses] == [1, 2, 3, 4, 5, 6]


@pytest.mark.slow
def test_on_gaussian_data_a_trained_network_reaches_the_loss_of_the_exact_denoiser():
    sde, quantization, mesh = VP(), Quantization(256), data_mesh()
    mean, covariance = np.array([0.5, -0.4]), np.array([[0.03, 0.027], [0.027, 0.03]])
    draws = np.random.default_rng(0).multivariate_normal(mean, covariance, 4000)
    images = np.asarray(quantization.quantize(jnp.asarray(draws))).reshape(-1, 1, 2, 1)
    best = exact.GaussianDenoiser(sde, mean, covariance + np.eye(2) * quantization.cell**2 / 12)
    parameterization, times = EDM(0.4), UniformLogSNR(1e-3)
    apply, params = nn.initialized(nn.MLP(width=32, depth=2), images.shape[1:], 0)

    def network(params):
        return denoiser(lambda x, noise: apply(params, x, noise), sde, parameterization)

    # The parameters are an argument: XLA on CPU (jaxlib 0.10.2) multiplies thousands of rows wrongly by a constant
    # that is zero throughout, as the last layer is at the start.
    @jax.jit
    def held_out(params):
        def one(key, t):
            first, second = jax.random.split(key)
            x0 = jax.random.multivariate_normal(first, mean, covariance).reshape(1, 2, 1)
            models = network(params), best
            return [denoising_score_matching(second, sde, model, x0, t, Simple()) for model in models]

        keys = jax.random.split(jax.random.key(9), 4000)
        losses, exact_losses = jax.vmap(one)(keys, times.draw(jax.random.key(8), len(keys), sde))
        return losses.mean() / exact_losses.mean()

    loss = BatchLoss(apply, sde, Objective(parameterization, Simple(), times), quantization)
    optimizer = Adam(1e-2, 50, half_life=150).transformation()
    average = ExponentialAverage(0.99)
    start = TrainState.create(params, optimizer, average)
    step = make_step(start, loss, optimizer, average, 0, mesh)
    stream = batches(Arrays(images), batch_size=64, seed=0)
    before = float(held_out(params))
    guard = Guard(Stop(), lambda batch: np.array([batch]), lambda anomaly: None)
    state = train(start, step, stream, mesh, Plan(700, 100, 700), Diary().events(), guard, Interruption())
    assert before > 1.5
    assert 0.999 < float(held_out(state.averages)) < 1.05
