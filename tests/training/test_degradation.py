import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.ndimage import gaussian_filter

from sde_jax import InputError, exact, sampling
from sde_jax.data import Scaling
from sde_jax.experiment import Experiment, Sampler, Training
from sde_jax.model import Model, Record
from sde_jax.nn import MLP, Channels, initialized
from sde_jax.objective import EDMWeighting, Objective, UniformLogSNR
from sde_jax.prediction import EDM
from sde_jax.sde import VP, Restoration
from sde_jax.training import Corruption, Symmetry

KEY = jax.random.key(0)


def test_a_blur_is_that_of_the_textbook_and_keeps_a_grey_image():
    x = np.random.default_rng(0).normal(size=(9, 7, 2))
    blurred = Corruption(blur=0.9).degraded(KEY, jnp.asarray(x))
    expected = gaussian_filter(x, (0.9, 0.9, 0), mode="nearest", radius=(4, 4, 0))
    np.testing.assert_allclose(blurred, expected, atol=2e-6)
    np.testing.assert_allclose(Corruption(blur=2.0).degraded(KEY, jnp.full((4, 4, 1), 0.3)), 0.3, rtol=1e-6)


def test_noise_has_its_deviation_and_hidden_pixels_are_hidden_in_all_channels():
    x = jnp.zeros((200, 100, 3))
    worse = Corruption(noise=0.2, hidden=0.3).degraded(KEY, x)
    hidden = np.isnan(worse)
    assert np.all(hidden == hidden[..., :1])
    np.testing.assert_allclose(hidden.mean(), 0.3, atol=0.01)
    np.testing.assert_allclose(np.std(worse[~hidden]), 0.2, rtol=0.02)


def test_which_pixels_are_hidden_says_nothing_of_the_noise_of_those_that_are_not():
    """Of one channel, mask and noise have one shape: from one key the one would be a function of the other."""
    worse = np.asarray(Corruption(noise=1.0, hidden=0.5).degraded(KEY, jnp.zeros((200, 200, 1))))
    seen = worse[~np.isnan(worse)]
    np.testing.assert_allclose(seen.mean(), 0, atol=4 / np.sqrt(seen.size))
    np.testing.assert_allclose(seen.std(), 1, atol=4 / np.sqrt(2 * seen.size))


NOISE = 0.6
"""Of x_0 ~ N(0, 1) seen with noise: x_0 given what is seen is N(seen / (1 + NOISE^2), NOISE^2 / (1 + NOISE^2))."""


@pytest.fixture(scope="module")
def trained():
    sde = Restoration(0.8)
    objective = Objective(EDM(1.0, noise_scale=100.0), EDMWeighting(1.0), UniformLogSNR(start=1e-3))
    network = MLP(width=32, depth=2, condition=Channels(1))
    training = Training(degradation=Corruption(noise=NOISE))
    record = Record(Experiment(sde=sde, network=network, objective=objective, training=training), (1, 1, 1), None)
    apply, params = initialized(network, (1, 1, 1), seed=0)
    loss, optimizer = record.loss(apply), optax.adam(optax.cosine_decay_schedule(5e-3, 600))

    @jax.jit
    def step(params, state, key):
        data, draw = jax.random.split(key)
        batch = {"data": jax.random.normal(data, (512, 1, 1, 1))}
        updates, state = optimizer.update(jax.grad(loss)(params, draw, batch), state)
        return optax.apply_updates(params, updates), state

    state = optimizer.init(params)
    for key in jax.random.split(KEY, 600):
        params, state = step(params, state, key)
    return Model(record, apply, params, 600)


def test_a_network_trained_on_degraded_examples_is_the_posterior_mean_given_both(trained):
    seen = jnp.array([-1.5, 0.0, 1.0])[:, None, None, None]
    for t in (0.2, 0.5, 0.9):
        for y in seen:
            facts = {"channels": y}
            sde = trained.sde.given(facts)
            ideal = exact.GaussianDenoiser(sde, y.ravel() / (1 + NOISE**2), NOISE**2 / (1 + NOISE**2))
            x = sde.mix(ideal(y, 1.0), 0.7 * jnp.ones((1, 1, 1)), t)
            ours = trained.denoiser(trained.params, trained.record.told(**facts), sde)(x, t)
            np.testing.assert_allclose(ours, ideal(x, t), atol=0.12)


@pytest.mark.parametrize(("order", "tolerance"), [(1, 0.25), (2, 0.15)])
def test_restored_examples_are_draws_of_the_posterior(trained, order, tolerance):
    seen, n = 1.2, 1000
    sampler = Sampler(sampling.DPMSolverMultistep(order=order, churn=1.0), steps=30, spacing=sampling.LogSNR())
    degraded = jnp.full((n, 1, 1, 1), seen)
    x = jax.jit(lambda keys, y: trained.restore(keys, sampler, y).x)(jax.random.split(KEY, n), degraded)
    np.testing.assert_allclose(x.mean(), seen / (1 + NOISE**2), atol=0.1)
    np.testing.assert_allclose(x.std(), NOISE / np.sqrt(1 + NOISE**2), rtol=tolerance)


def test_a_model_that_restores_draws_nothing_of_nothing(trained):
    keys = jax.random.split(KEY, 2)
    with pytest.raises(InputError, match=r"draw by Model\.restore"):
        trained.sample(keys, trained.samplers["pc"])
    with pytest.raises(InputError, match=r"\(2, 2, 1, 1\) to restore .* expected \(2, 1, 1, 1\)"):
        trained.restore(keys, trained.samplers["pc"], jnp.zeros((2, 2, 1, 1)))


def test_what_cannot_be_degraded_or_is_not_heard_is_refused():
    with pytest.raises(InputError, match="expected blur >= 0"):
        Corruption(hidden=1.0)
    with pytest.raises(InputError, match=r"expected a network\.condition that hears"):
        Experiment(training=Training(degradation=Corruption()))
    network, training = MLP(condition=Channels(1)), Training(degradation=Corruption(blur=1.0))
    with pytest.raises(InputError, match=r"of examples of shape \(2,\): expected images"):
        Record(Experiment(network=network, training=training), (2,), None, Scaling())
    moved = Training(degradation=Corruption(), symmetry=Symmetry(turns=True))
    with pytest.raises(InputError, match="expected no augmentation"):
        Record(Experiment(sde=VP(), network=network, training=moved), (4, 4, 1), 17).loss(lambda *_, **__: 0)
