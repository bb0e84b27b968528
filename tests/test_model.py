import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax import nn
from sde_jax.experiment import Experiment, Objective, Sampler
from sde_jax.model import Model, Record
from sde_jax.prediction import X0
from sde_jax.sampling import DDIM, sample
from sde_jax.sde import VE


@pytest.fixture(scope="module")
def model() -> Model:
    """A model on VE that knows its data exactly: x_0 is 0.5 everywhere."""
    samplers = {"ddim": Sampler(DDIM(), steps=5, end=0.1)}
    experiment = Experiment(
        sde=VE(0.1, 9.0), network=nn.MLP(width=4, depth=1), objective=Objective(X0()), samplers=samplers
    )
    return Model(Record(experiment, (2, 3, 1), 17), lambda params, x, noise: jnp.full_like(x, params), 0.5, 7)


def test_a_models_denoiser_is_that_of_its_own_parameters(model):
    x = jnp.linspace(-2, 2, 6).reshape(2, 3, 1)
    np.testing.assert_array_equal(model.denoise(x, 0.3), jnp.full_like(x, 0.5))
    np.testing.assert_array_equal(model.denoiser(-0.25)(x, 0.3), jnp.full_like(x, -0.25))


@pytest.mark.slow
def test_a_model_draws_with_its_path_its_denoiser_and_the_samplers_grid(model):
    keys, sampler = jax.random.split(jax.random.key(0), 3), model.samplers["ddim"]
    drawn = model.sample(keys, sampler, frames=2)
    grid = np.linspace(1, 0.1, 6)
    expected = sample(keys, DDIM(), VE(0.1, 9.0), lambda x, t: jnp.full_like(x, 0.5), grid, (2, 3, 1), frames=2)
    assert drawn.trajectory.shape == (3, 2, 2, 3, 1)
    np.testing.assert_allclose(drawn.x, expected.x, rtol=1e-5)
    np.testing.assert_allclose(drawn.trajectory, expected.trajectory, rtol=1e-5)
    # DDIM keeps (x - x_0) / sigma, which is that of the prior noise.
    noise = (drawn.trajectory[:, 0] - 0.5) / VE(0.1, 9.0).sigma(1.0)
    np.testing.assert_allclose((drawn.x - 0.5) / VE(0.1, 9.0).sigma(0.1), noise, rtol=2e-4)
