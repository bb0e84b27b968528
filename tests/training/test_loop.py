from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax import nn
from sde_jax.data import Arrays, batches
from sde_jax.errors import RunError
from sde_jax.likelihood import Quantization
from sde_jax.objective import Objective, Simple, UniformLogSNR, denoising_score_matching
from sde_jax.prediction import EDM, denoiser, exact
from sde_jax.sde import VP
from sde_jax.training import (
    Adam,
    Events,
    ExponentialAverage,
    Interruption,
    Metrics,
    TrainState,
    batch_loss,
    data_mesh,
    make_step,
    train,
)

SOURCE = Arrays(np.zeros((10, 1, 1, 1), np.uint8))


@dataclass
class Diary:
    """Events that are written down."""

    entries: list = field(default_factory=list)
    losses: list = field(default_factory=list)

    def events(self, log_every: int, save_every: int) -> Events:
        def log(state, losses):
            self.entries.append(("log", int(state.step)))
            self.losses.extend(losses)

        return Events(log, lambda state: self.entries.append(("save", int(state.step))), log_every, save_every)


def counting(loss=lambda n: 1.0, interruption: Interruption | None = None, stop_at: int = -1):
    """A step that does nothing but count, with the loss of update n."""

    def step(state: TrainState, batch):
        n = int(state.step) + 1
        if n == stop_at and interruption is not None:
            interruption.signal = 15
        return TrainState(jnp.int32(n), {}, {}, ()), Metrics(jnp.float32(loss(n)), jnp.float32(1))

    return step


def run(step, until: int, events: Events, first: int = 0, interruption: Interruption | None = None) -> TrainState:
    state = TrainState(jnp.int32(first), {}, {}, ())
    stream = batches(SOURCE, batch_size=2, seed=0, start=first)
    interruption = Interruption() if interruption is None else interruption
    return train(state, step, stream, data_mesh(), until, events, interruption)


def test_the_loop_logs_and_saves_when_due_and_at_the_end():
    diary = Diary()
    assert int(run(counting(float), 10, diary.events(log_every=2, save_every=4)).step) == 10
    saves = [("save", n) for n in (4, 8, 10)]
    assert [entry for entry in diary.entries if entry[0] == "save"] == saves
    assert [n for kind, n in diary.entries if kind == "log"] == [2, 4, 6, 8, 10]
    assert diary.losses == [(n, float(n)) for n in range(1, 11)]


def test_a_resumed_loop_goes_on_from_its_step():
    diary = Diary()
    run(counting(float), 10, diary.events(log_every=5, save_every=4), first=7)
    assert diary.losses == [(8, 8.0), (9, 9.0), (10, 10.0)]
    assert [entry for entry in diary.entries if entry[0] == "save"] == [("save", 8), ("save", 10)]


def test_every_loss_is_logged_before_it_is_saved():
    diary = Diary()
    run(counting(), 9, diary.events(log_every=7, save_every=3))
    assert diary.entries == [("log", 3), ("save", 3), ("log", 6), ("save", 6), ("log", 7), ("log", 9), ("save", 9)]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("at", [1, 4, 5, 6, 10])
def test_nothing_is_logged_or_saved_from_a_loss_that_is_not_finite_on(at, bad):
    diary = Diary()
    with pytest.raises(RunError, match=f"^step {at}: "):
        run(counting(lambda n: bad if n == at else 1.0), 10, diary.events(log_every=3, save_every=5))
    assert all(n < at for _, n in diary.entries)


def test_an_interrupted_loop_saves_the_step_it_has_reached_and_ends():
    diary, interruption = Diary(), Interruption()
    state = run(counting(float, interruption, stop_at=7), 10, diary.events(5, 4), interruption=interruption)
    assert int(state.step) == 7
    assert diary.entries[-1] == ("save", 7)


def test_an_interrupted_loop_does_not_save_a_loss_that_is_not_finite():
    diary, interruption = Diary(), Interruption()
    step = counting(lambda n: np.nan if n == 7 else 1.0, interruption, stop_at=7)
    with pytest.raises(RunError, match=r"^step 7:"):
        run(step, 10, diary.events(5, 4), interruption=interruption)
    assert ("save", 7) not in diary.entries


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

    loss = batch_loss(apply, sde, Objective(parameterization, Simple(), times), quantization)
    optimizer = Adam(1e-2, 50, half_life=150).transformation()
    step = make_step(loss, optimizer, ExponentialAverage(0.99), 0, mesh)
    stream = batches(Arrays(images), batch_size=64, seed=0)
    before = float(held_out(params))
    start = TrainState.create(params, optimizer, ExponentialAverage(0.99))
    state = train(start, step, stream, mesh, 700, Diary().events(100, 700), Interruption())
    assert before > 1.5
    assert 0.999 < float(held_out(state.averages)) < 1.05
