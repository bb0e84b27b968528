"""Both estimates of x_t = alpha x_0 + b + sigma eps, and the digits that neither loses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.objective import Mean, matching_error
from sde_jax.prediction import Estimates, clean_error, estimates_of

PATHS = [sj.VP(), sj.SubVP(), sj.VE(), sj.EDMPath(), sj.RectifiedFlow(), sj.Cosine()]
PARAMETERIZATIONS = [sj.Epsilon(), sj.X0(), sj.V(), sj.Velocity(), sj.ScoreFunction(), sj.EDM()]
TIMES = np.array([1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9], np.float32)
X = np.random.default_rng(0).normal(size=8).astype(np.float32)


def name(value):
    return type(value).__name__


def network(x, label):
    return jnp.tanh(x + 0.5 * jnp.roll(x, 1)) + 0.3


def computed(function, dtype):
    """What a function returns of the same x at every time, in one precision, as float64."""
    with jax.enable_x64(dtype == np.float64):
        return np.asarray(jax.vmap(lambda t: function(jnp.asarray(X, dtype), t))(TIMES.astype(dtype)), np.float64)


def error(function):
    """The relative error of a function in float32, at every time."""
    exact = computed(function, np.float64)
    return np.linalg.norm(computed(function, np.float32) - exact, axis=1) / np.linalg.norm(exact, axis=1)


def by_difference(sde, parameterization):
    """The score as it was computed: (alpha D - x) / sigma^2."""
    denoise = sj.denoiser(network, sde, parameterization)
    return lambda x, t: (sde.alpha(t) * denoise(x, t) - x) / sde.variance(t)


def by_output(sde, parameterization):
    """The score as the official code has it of a network that predicts noise or score, None for others."""
    scale = {sj.Epsilon: lambda t: -1 / sde.sigma(t), sj.ScoreFunction: lambda t: 1.0}.get(type(parameterization))
    return None if scale is None else lambda x, t: scale(t) * network(x, t)


@pytest.mark.parametrize("sde", PATHS, ids=name)
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS, ids=name)
def test_score_and_drift_in_float32_are_no_worse_than_by_the_networks_output_or_by_the_difference(
    sde, parameterization
):
    denoise = sj.denoiser(network, sde, parameterization)
    others = [by_difference(sde, parameterization), by_output(sde, parameterization)]
    bound = np.min([error(other) for other in others if other is not None], axis=0)
    score, drift = sj.score_of(denoise, sde), sj.reverse(sde, denoise, churn=0.0).drift
    assert np.all(error(score) < 2 * bound + 2e-6)
    if not isinstance(parameterization, sj.X0):
        assert np.all(error(score) < 2e-5)
        assert np.all(error(drift) < 2e-5)


@pytest.mark.parametrize("sde", PATHS, ids=name)
@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS, ids=name)
def test_the_two_estimates_make_x(sde, parameterization):
    found = estimates_of(sj.denoiser(network, sde, parameterization), sde)

    def together(x, t):
        clean, noise = found(x, t)
        return sde.alpha(t) * clean + sde.sigma(t) * noise

    np.testing.assert_allclose(computed(together, np.float64), np.tile(X, (len(TIMES), 1)), rtol=1e-9, atol=1e-9)


def test_edms_scalars_where_alpha_is_0_are_their_limits():
    found, sde = sj.EDM(sigma_data=0.5).coefficients(sj.RectifiedFlow(), 1.0), sj.RectifiedFlow()
    assert sde.alpha(1.0) == 0
    assert (found.skip, found.out, found.scale_in, found.noise_estimate) == (0, 0.5, 1, (1, 0))


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_the_divergence_of_the_flow_in_float32_keeps_its_digits(sde):
    drift = sj.reverse(sde, sj.denoiser(network, sde, sj.V()), churn=0.0).drift
    trace = lambda x, t: jnp.trace(jax.jacfwd(lambda x: drift(x, t))(x))[None]  # noqa: E731
    assert np.all(error(trace) < 2e-5)


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_closed_forms_tell_their_noise_without_a_difference(sde):
    edges, odds = np.linspace(-8, 8, 5), np.array([0.1, 0.4, 0.3, 0.2])
    for exact in (
        lambda: sj.exact.GaussianDenoiser(sde, 0.3, 0.25),
        lambda: sj.exact.MixtureDenoiser(sde, np.array([0.3, 0.7]), np.eye(2, 8), np.full(2, 0.3)),
    ):
        assert np.all(error(lambda x, t, exact=exact: exact().estimates(x, t).noise) < 1e-4)
    # well within its cells a number tells nothing of its noise, which is 0 but for rounding
    flat = lambda x, t: sj.exact.HistogramDenoiser(sde, edges + 0.1, odds).estimates(x, t).noise  # noqa: E731
    assert np.max(np.abs(computed(flat, np.float32) - computed(flat, np.float64))) < 1e-4


def wrapped(sde):
    """Every way to make a denoiser of denoisers, of networks that predict noise."""
    one, other = (sj.denoiser(lambda x, label, w=w: network(w * x, label), sde, sj.Epsilon()) for w in (1.0, 0.7))
    guidance, slope = sj.guidance, lambda x, t: -0.5 * jnp.sum((x - 1) ** 2)
    within = guidance.Interval(1e-4, 10.0)
    return {
        "classifier-free": guidance.classifier_free(one, other, sde, 3.0),
        "within": guidance.classifier_free(one, other, sde, 3.0, interval=within),
        "rescaled": guidance.classifier_free(one, other, sde, 3.0, rescale=0.7),
        "composed": guidance.composed(one, [other, one], [0.5, -2.0]),
        "classifier": guidance.classifier_guided(one, sde, slope, 2.0),
        "rewarded": guidance.rewarded(one, sde, lambda x0: slope(x0, 0.0), 2.0),
        "resampled": sj.at_equal_log_snr(sj.denoiser(network, sj.VP(), sj.Epsilon()), sj.VP(), sde),
        "of a score": sj.denoiser_of(sj.score_of(one, sde), sde),
    }


@pytest.mark.parametrize("way", wrapped(sj.VP()))
def test_the_estimates_of_what_is_made_of_denoisers_add_up_to_x_and_keep_their_digits(way):
    sde = sj.SubVP()
    denoise = wrapped(sde)[way]
    for t in (1e-3, 0.4):
        clean, noise = denoise.estimates(X.astype(float), t)
        np.testing.assert_allclose(sde.alpha(t) * clean + sde.sigma(t) * noise, X, rtol=1e-7)
        np.testing.assert_array_equal(clean, denoise(X.astype(float), t))
    made = lambda x, t: wrapped(sde)[way].estimates(x, t).noise  # noqa: E731
    # the time of a log-SNR, and how far a ratio of deviations is from 1, are known to so many digits
    assert np.all(error(made)[1:] < {"resampled": 3e-3, "rescaled": 1e-2}.get(way, 1e-4))


def test_a_mixture_of_denoisers_one_of_which_tells_no_noise_tells_none():
    sde = sj.VP()
    plain = lambda x, t: sj.exact.GaussianDenoiser(sde, 0.0, 1.0)(x, t)  # noqa: E731
    mixed = sj.guidance.composed(plain, [sj.exact.GaussianDenoiser(sde, 0.5, 1.0)], [2.0])
    assert not hasattr(mixed, "estimates")
    clean, noise = estimates_of(mixed, sde)(X, 0.3)
    np.testing.assert_allclose(sde.alpha(0.3) * clean + sde.sigma(0.3) * noise, X, rtol=1e-6)


@pytest.mark.parametrize("parameterization", [sj.Epsilon(), sj.V()], ids=name)
def test_the_loss_in_float32_at_little_noise_is_that_in_float64(parameterization):
    sde, eps = sj.SubVP(), np.roll(X, 3)

    def loss(x, t):
        denoise = sj.denoiser(network, sde, parameterization)
        return matching_error(sde, denoise, x, jnp.asarray(eps, x.dtype), t, sj.Simple(), Mean())[None]

    assert np.all(error(loss) < 2e-5)


def test_a_custom_parameterisation_of_four_scalars_tells_its_noise_by_the_difference():
    class Four:
        def coefficients(self, sde, t):
            return sj.Epsilon().coefficients(sde, t)._replace(noise_estimate=None)

    sde = sj.VP()
    _, noise = sj.denoiser(network, sde, Four()).estimates(X, 0.5)
    np.testing.assert_allclose(noise, sj.denoiser(network, sde, sj.Epsilon()).estimates(X, 0.5).noise, rtol=1e-5)
    assert isinstance(sj.denoiser(network, sde, Four()).estimates(X, 0.5), Estimates)


# what is no denoiser, and what is no single example


def swapped(denoise):
    return lambda a, b: denoise(b, a)


@pytest.mark.parametrize("sde", PATHS, ids=name)
def test_exchanged_arguments_and_scores_are_refused(sde):
    flat, full = sj.exact.GaussianDenoiser(sde, 0.0, 1.0), sj.exact.GaussianDenoiser(sde, np.zeros(2), np.eye(2))
    keys, grid = jax.random.split(jax.random.key(0), 2), np.array([0.9, 0.5])
    for denoise in (swapped(flat), swapped(full), lambda t, x: full(x, t), sj.score_of(full, sde)):
        with pytest.raises(sj.InputError, match=r"\(x, t\)"):
            sj.sample(keys, sj.DDIM(), sde, denoise, grid, (2,))
    for denoise in (swapped(flat), lambda x, t: -x, lambda x, t: sj.score_of(flat, sde)(x, t)):
        with pytest.raises(sj.InputError, match=r"score|\(t, x\)"):
            sj.log_likelihood(keys[0], sde, denoise, np.float64(0.3))
    with pytest.raises(sj.InputError, match="is a score"):
        sj.reverse(sde, sj.score_of(flat, sde))


def rows(x, label):
    """A network of examples [2], which takes any leading axes for a batch."""
    return jnp.tanh(x @ np.array([[0.5, 0.2], [-0.1, 0.4]]))


def test_a_batch_given_for_one_example_is_refused_by_likelihood_and_bound():
    sde, x = sj.VP(), np.random.default_rng(0).normal(size=(5, 2))
    for denoise in (sj.denoiser(rows, sde, sj.Epsilon()), lambda x, t: x - sde.sigma(t) * rows(x, t)):
        for bound in (sj.log_likelihood, sj.elbo):
            with pytest.raises(sj.InputError, match=r"x of shape \(5, 2\).*jax.vmap"):
                bound(jax.random.key(0), sde, denoise, x)
    bound = lambda x: sj.elbo(jax.random.key(0), sde, denoise, x, strata=1).value  # noqa: E731
    with pytest.raises(sj.NumericalError, match=r"lift by jax\.vmap"):
        sj.checked(bound)(x)
    assert np.isnan(jax.jit(bound)(x))


def test_one_example_of_several_rows_is_not_refused():
    sde, x = sj.VP(), np.random.default_rng(0).normal(size=(3, 2))
    together = lambda x, t: x - sde.sigma(t) * jnp.tanh(x + jnp.mean(x))  # noqa: E731
    exact = [sj.exact.GaussianDenoiser(sde, mean, 1.0) for mean in (0.0, np.zeros(6))]
    for denoise in (*exact, together):
        assert np.isfinite(sj.elbo(jax.random.key(0), sde, denoise, x, strata=1).value)


@pytest.mark.parametrize("t", [0.01, 0.9])
def test_the_error_of_the_clean_estimate_has_its_sign_by_either_estimate(t):
    """D - x_0, where noise is small by (sigma / alpha) (eps - noise): squares alone would hide the sign."""
    sde, x0, eps = sj.VP(), jnp.asarray(X), jnp.cos(X)
    found = estimates_of(sj.exact.GaussianDenoiser(sde, 0.3, 0.5), sde)(sde.mix(x0, eps, t), t)
    np.testing.assert_allclose(clean_error(sde, found, x0, eps, t), found.clean - x0, rtol=1e-3, atol=1e-5)
