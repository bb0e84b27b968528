"""The losses that the official code recorded (Song et al. 2021)."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import sde_jax as sj
from sde_jax.nn import functional
from sde_jax.objective import HalfSum, Mean, matching_error


@pytest.fixture(autouse=True)
def float64():
    """Compute in float32, as the official code did."""


CASES = {
    "rm0_lw0": (sj.Simple(), HalfSum()),
    "rm0_lw1": (sj.Likelihood(), HalfSum()),
    "rm1_lw0": (sj.Simple(), Mean()),
    "rm1_lw1": (sj.Likelihood(), Mean()),
}


@pytest.fixture(scope="module")
def ours(golden):
    """Every loss of our objective, and the norm of its gradient."""
    spec = importlib.util.spec_from_file_location("ncsnpp", Path(__file__).parents[1] / "nn" / "test_ncsnpp.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    recorded = np.load(golden / "loss_ddpmpp_vp@vp.npz")
    apply, params = functional(module.official_network(np.load(golden / "net_ddpmpp_vp.npz")))
    x0, eps = (jnp.asarray(recorded[name].transpose(0, 2, 3, 1)) for name in ("x", "tape1"))
    sde, t = sj.VP(), jax.vmap(lambda u: sj.Uniform(1e-5).quantile(sj.VP(), u))(jnp.asarray(recorded["tape0"]))

    def losses(params):
        denoise = jax.vmap(sj.denoiser(lambda x, label: apply(params, x, label), sde, sj.Epsilon()))
        estimates = denoise(jax.vmap(sde.mix)(x0, eps, t), t)

        def loss(weighting, reduction):
            one = lambda estimate, *pair: matching_error(sde, lambda x, t: estimate, *pair, weighting, reduction)  # noqa: E731
            return jnp.mean(jax.vmap(one)(estimates, x0, eps, t))

        return jnp.stack([loss(*parts) for parts in CASES.values()])

    @jax.jit
    def values_and_norms(params):
        values, pull = jax.vjp(losses, params)
        return values, jax.lax.map(lambda seed: optax.tree.norm(pull(seed)), jnp.eye(len(CASES)))

    with jax.default_matmul_precision("float32"):
        return dict(zip(CASES, zip(*values_and_norms(params), strict=True), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_loss_and_its_gradient_are_those_of_the_official_code(golden, ours, case):
    recorded = np.load(golden / "loss_ddpmpp_vp@vp.npz")
    value, norm = ours[case]
    np.testing.assert_allclose(value, recorded[f"loss_{case}"], rtol=1e-5)
    np.testing.assert_allclose(norm, recorded[f"gradnorm_{case}"], rtol=1e-5)
