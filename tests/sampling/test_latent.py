import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj

MEAN, COVARIANCE = np.array([0.5, -1.0]), np.array([[0.4, 0.15], [0.15, 0.2]])
SPECTRUM, BASIS = np.linalg.eigh(COVARIANCE)
TIGHT, ROUGH, START = sj.Tolerance(rtol=1e-10, atol=1e-12), sj.Tolerance(1e-3, 1e-3), 1e-3


@sj.path
class Straight(sj.RectifiedFlow):
    """Rectified flow of the logarithms of the data, with an offset: alpha is 0 at t = 1."""

    def offset(self, t):
        return jnp.sin(t) * jnp.array([2.0, -1.0])

    def from_data(self, data):
        return jnp.log(data)

    def to_data(self, x0):
        return jnp.exp(x0)


PATHS = [sj.VP(), sj.SubVP(), sj.VE(), Straight()]


def affine(sde, x):
    """The latent of a state x: in the eigenbasis it keeps the number of standard deviations from its mean."""
    first, last = (np.sqrt(np.asarray(sde.alpha(t) ** 2 * SPECTRUM + sde.variance(t))) for t in (START, 1.0))
    z = (x - np.asarray(sde.alpha(START)) * MEAN - np.asarray(sde.offset(START))) @ BASIS
    return np.asarray(sde.alpha(1.0)) * MEAN + np.asarray(sde.offset(1.0)) + (z * last / first) @ BASIS.T


@pytest.mark.parametrize("sde", PATHS, ids=lambda sde: type(sde).__name__)
def test_encoding_a_gaussian_is_affine_and_decoding_undoes_it(sde):
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    data = jnp.array([[0.2, 1.4], [3.0, 0.7], [0.5, 0.4]])

    @jax.jit
    @jax.vmap
    def there_and_back(data):
        latent, calls = sj.encode(sde, denoise, data, tolerance=TIGHT, start=START)
        again, more = sj.decode(sde, denoise, latent, tolerance=TIGHT, solver=sj.ode.Dopri8(), start=START)
        return latent, again, calls, more

    latent, again, calls, more = there_and_back(data)
    np.testing.assert_allclose(latent, affine(sde, np.asarray(sde.from_data(data))), rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(again, data, rtol=1e-7)
    assert np.all(calls > 6)
    assert np.all(more > 13)


@pytest.mark.slow
def test_a_temperature_scales_the_deviations_of_what_is_decoded():
    # On Gaussian data the flow is affine about the mean of p_1, so that scaling the prior's draw about its own mean
    # by sqrt(tau) scales the covariance of what is decoded by tau, and moves its mean by what the two means differ.
    for sde in (sj.VE(0.01, 4.0), Straight(), sj.MeanReverting(MEAN + 3)):
        denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
        latents = sde.prior_mean() + jnp.array([[0.3, -0.2], [-1.0, 0.4], [0.5, 0.5]])

        @jax.jit
        @jax.vmap
        def decode(latent, tau, sde=sde, denoise=denoise):
            return sde.from_data(sj.decode(sde, denoise, latent, temperature=tau, tolerance=TIGHT, start=START).x)

        centre = sde.prior_mean() + jnp.zeros((1, 2))
        taus = jnp.array([1.0] * 4 + [0.25] * 3)
        decoded = decode(jnp.concatenate([centre, latents, latents]), taus)
        plain, cold = decoded[1:4], decoded[4:]
        np.testing.assert_allclose(np.cov(cold.T), 0.25 * np.cov(plain.T), rtol=1e-6)
        np.testing.assert_allclose(cold - decoded[0], 0.5 * (plain - decoded[0]), rtol=1e-6)


@pytest.mark.parametrize("end", [1.0, 0.4])
def test_at_temperature_zero_the_mean_of_the_prior_is_decoded(end):
    # the latent x is decoded to (x - b) / sqrt(alpha^2 + sigma^2) of data N(0, 1): 2 of the mean, which is 10 always
    sde = sj.MeanReverting(10.0, 1.0, sj.sde.ConstantReversion(delta=0.2))
    denoise, latents = sj.exact.GaussianDenoiser(sde, 0.0, 1.0), jnp.array([3.0, 12.0])
    decode = lambda latent: sj.decode(sde, denoise, latent, temperature=0.0, tolerance=TIGHT, end=end).x  # noqa: E731
    expected = 10 - float(sde.offset(end))
    np.testing.assert_allclose(jax.jit(jax.vmap(decode))(latents), expected, atol=1e-3)


@pytest.mark.slow
def test_interpolation_turns_evenly_and_keeps_the_norm():
    a, b = jnp.array([[3.0, 0.0]]), jnp.array([[0.0, 3.0]])
    third = 3 * np.array([np.cos(np.pi / 6), np.sin(np.pi / 6)])
    between = sj.interpolate(a, b, [0.0, 1 / 3, 1.0])
    np.testing.assert_allclose(between, [a, [third], b], atol=1e-12)
    shifted = sj.interpolate(a + 5, b + 5, [0.0, 1 / 3, 1.0], centre=5.0)
    np.testing.assert_allclose(shifted, between + 5, atol=1e-12)
    np.testing.assert_allclose(jnp.linalg.norm(sj.interpolate(a, 2 * b, [0.5])), 4.5)
    np.testing.assert_allclose(sj.interpolate(a, a, [0.3]), a[None])
    near = a + jnp.array([0.0, 1e-9])
    np.testing.assert_allclose(sj.interpolate(a, near, [0.25])[0, 0, 1], 0.25e-9, rtol=1e-6)


def test_what_cannot_be_coded_is_refused():
    sde, denoise = sj.VP(), sj.exact.GaussianDenoiser(sj.VP(), MEAN, COVARIANCE)
    with pytest.raises(RuntimeError, match="holds NaN or infinity"):
        sj.encode(sde, denoise, jnp.array([0.0, jnp.nan]))
    with pytest.raises(sj.InputError, match=r"start = -0.1: expected a time in \[0, 1\)"):
        sj.encode(sde, denoise, jnp.zeros(2), start=-0.1)
    with pytest.raises(sj.InputError, match=r"temperature = -1.0: expected a finite number >= 0"):
        sj.decode(sde, denoise, jnp.zeros(2), temperature=-1.0)
    with pytest.raises(sj.InputError, match="expected the same shape and type"):
        sj.encode(sde, lambda x, t: x[:1], jnp.zeros(2))
    with pytest.raises(sj.InputError, match=r"expected two of one shape, and \[k\]"):
        sj.interpolate(jnp.ones(2), jnp.ones(3), [0.5])
    for other in (-jnp.ones(2), jnp.zeros(2)):
        with pytest.raises(RuntimeError, match="no way between opposite or central latents"):
            sj.interpolate(jnp.ones(2), other, [0.5])


@pytest.mark.parametrize("start", [-0.1, 1.0, 1.5, float("nan"), None, "0"], ids=str)
def test_a_flow_starts_within_the_path(start):
    sde, x = sj.VP(), jnp.ones(2)
    for call in (
        lambda: sj.encode(sde, lambda x, t: x, x, start=start),
        lambda: sj.decode(sde, lambda x, t: x, x, start=start),
        lambda: sj.log_likelihood(jax.random.key(0), sde, lambda x, t: x, x, start=start),
    ):
        with pytest.raises(sj.InputError, match=r"start = .*: expected a time in"):
            call()


def test_half_of_the_deviation_is_left_at_a_quarter_of_the_temperature():
    sde, latent = sj.VP(), jnp.array([1.0, -2.0])
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    decode = jax.jit(lambda x, tau: sj.decode(sde, denoise, x, temperature=tau, tolerance=ROUGH, start=START).x)
    np.testing.assert_allclose(decode(latent, 0.25), decode(0.5 * latent, 1.0), rtol=1e-9)
