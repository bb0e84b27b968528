"""The losses that the official code recorded (Song et al. 2021)."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import sde_jax as sj
from sde_jax.objective import HalfSum, Mean, matching_error
from sde_jax.prediction import Deviation, ScoreFunction, TableLabel


@pytest.fixture(autouse=True)
def float64():
    """Compute in float32, as the official code did."""


LOSSES = {
    "rm0_lw0": (sj.Simple(), HalfSum()),
    "rm0_lw1": (sj.Likelihood(), HalfSum()),
    "rm1_lw0": (sj.Simple(), Mean()),
    "rm1_lw1": (sj.Likelihood(), Mean()),
}


def continuous(sde, u):
    return sj.Uniform(1e-5).quantile(sde, u)


RECORDED = {
    "ddpmpp_vp@vp": (sj.VP(), sj.Epsilon(), continuous),
    "ncsnpp_ve@ve": (sj.VE(0.01, 50.0), ScoreFunction(Deviation()), continuous),
    "ddpm@vp_discrete": (sj.DDPM(), sj.Epsilon(TableLabel()), sj.DDPM.time),
}
"""The path, the parameterisation, and the time of what was drawn: a number in [0, 1], or a row of the table."""


@pytest.fixture(scope="module")
def ours(golden, recorded_network):
    """Every loss of our objective that a file has, and the norm of its gradient."""

    @functools.cache
    def of(name):
        recorded = np.load(golden / f"loss_{name}.npz")
        cases = {case: parts for case, parts in LOSSES.items() if f"loss_{case}" in recorded}
        network = recorded_network(f"net_{name.partition('@')[0]}")
        sde, parameterization, time = RECORDED[name]
        x0, eps = (jnp.asarray(recorded[array].transpose(0, 2, 3, 1)) for array in ("x", "tape1"))
        t = jax.vmap(functools.partial(time, sde))(jnp.asarray(recorded["tape0"]))

        def losses(params):
            denoise = sj.denoiser(lambda x, label: network.apply(params, x, label), sde, parameterization)
            estimates = jax.vmap(denoise)(jax.vmap(sde.mix)(x0, eps, t), t)

            def loss(weighting, reduction):
                one = lambda estimate, *pair: matching_error(sde, lambda x, t: estimate, *pair, weighting, reduction)  # noqa: E731
                return jnp.mean(jax.vmap(one)(estimates, x0, eps, t))

            return jnp.stack([loss(*parts) for parts in cases.values()])

        @jax.jit
        def values_and_norms(params):
            values, pull = jax.vjp(losses, params)
            return values, jax.lax.map(lambda seed: optax.tree.norm(pull(seed)), jnp.eye(len(cases)))

        with jax.default_matmul_precision("float32"):
            return dict(zip(cases, zip(*values_and_norms(network.params), strict=True), strict=True))

    return of


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_losses_and_their_gradients_are_those_of_the_official_code(golden, ours, name):
    recorded = np.load(golden / f"loss_{name}.npz")
    assert len(ours(name)) == sum(key.startswith("loss_") for key in recorded)
    for case, (value, norm) in ours(name).items():
        np.testing.assert_allclose(value, recorded[f"loss_{case}"], rtol=1e-5)
        np.testing.assert_allclose(norm, recorded[f"gradnorm_{case}"], rtol=1e-5)
