import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.guidance import Bins, Interval, classifier_guided, experts, rewarded, shifted, stacked_experts
from sde_jax.prediction import score_of
from sde_jax.prediction.exact import GaussianDenoiser, MixtureDenoiser
from sde_jax.sampling import DPMSolverMultistep, grids, sample
from sde_jax.sde import VE, VP, RectifiedFlow, Shifted

SDE, M = VP(), 1.5
BOTH = MixtureDenoiser(SDE, [0.5, 0.5], [[-M], [M]], [1.0, 1.0])
X = jnp.array([0.7])


def slope(t):
    return 2 * SDE.alpha(t) * M / (SDE.alpha(t) ** 2 + SDE.variance(t))


def positive(x, t):
    """log p(+ | x_t) of the two classes N(+-m, 1): a logistic of 2 a m x / (a^2 + s^2)."""
    return jax.nn.log_sigmoid(slope(t) * x[0])


def moments(denoise) -> tuple[float, float]:
    """The mean and the variance of 20,000 samples of the reverse SDE."""
    grid = grids.LogSNR().times(SDE, 100, 1e-3)
    keys = jax.random.split(jax.random.key(0), 20_000)
    x = jax.jit(lambda keys: sample(keys, DPMSolverMultistep(churn=1.0), SDE, denoise, grid, (1,)).x)(keys)
    return float(jnp.mean(x)), float(jnp.var(x))


@pytest.fixture(scope="module")
def exact() -> tuple[float, float]:
    return moments(classifier_guided(BOTH, SDE, positive))


def test_the_log_probability_of_a_class_is_that_of_bayes_rule():
    one = GaussianDenoiser(SDE, M, 1.0)
    for t in (0.1, 0.4, 0.9):
        expected = one.log_prob(X, t) + jnp.log(0.5) - BOTH.log_prob(X, t)
        np.testing.assert_allclose(positive(X, t), expected, rtol=2e-5)


def test_the_guided_denoiser_is_that_of_the_class():
    guided, one = classifier_guided(BOTH, SDE, positive), GaussianDenoiser(SDE, M, 1.0)
    for t in (0.05, 0.4, 0.9):
        np.testing.assert_allclose(guided(X, t), one(X, t), rtol=1e-4)


def test_a_scale_of_one_samples_the_class(exact):
    assert exact[0] == pytest.approx(M, abs=0.02)
    assert exact[1] == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("count", [1, 5])
def test_five_experts_do_for_the_exact_classifier_and_one_does_not(count, exact):
    centres = [slope((k + 0.5) / count) for k in range(count)]
    constant = [lambda x, t, s=s: jax.nn.log_sigmoid(s * x[0]) for s in centres]
    mean, variance = moments(classifier_guided(BOTH, SDE, experts(constant)))
    if count == 1:
        assert variance > 1.5
    else:
        assert mean == pytest.approx(exact[0], abs=0.03)
        assert variance == pytest.approx(exact[1], abs=0.05)


def test_a_boundary_belongs_to_the_later_bin_and_the_end_to_the_last():
    bins = Bins.uniform(5)
    assert [int(bins.of(k / 5)) for k in range(6)] == [0, 1, 2, 3, 4, 4]
    assert int(bins.of(np.nextafter(np.float32(0.4), np.float32(0)))) == 1
    assert [int(Bins((0.0, 0.3, 1.0)).of(t)) for t in (0.29, 0.3)] == [0, 1]
    assert int(Bins((0.0, 1.0)).of(0.5)) == 0


def test_every_sample_of_a_batch_is_sent_to_its_own_expert():
    log_prob = experts([lambda x, t, k=k: k * jnp.sum(x) for k in range(4)])
    times = jnp.array([0.9, 0.1, 0.6, 0.25])
    found = jax.jit(jax.vmap(lambda t: jax.grad(log_prob)(X, t)[0]))
    np.testing.assert_array_equal(found(times), [3, 0, 2, 1])
    np.testing.assert_array_equal(found(times[::-1]), [1, 2, 0, 3])


def test_experts_that_are_not_chosen_have_no_gradient():
    params, times = jnp.arange(1.0, 5.0), jnp.array([0.9, 0.1])

    def loss(params, together):
        chosen = together(params)
        return jnp.sum(jax.vmap(lambda t: chosen(X, t))(times))

    def listed(params):
        return experts([lambda x, t, k=k: params[k] ** 2 * jnp.sum(x) for k in range(4)])

    def stacked(params):
        return stacked_experts(lambda p, x, t: p**2 * jnp.sum(x), params, Bins.uniform(4))

    for together in (listed, stacked):
        np.testing.assert_allclose(jax.grad(loss)(params, together), 0.7 * np.array([2.0, 0, 0, 8.0]), rtol=1e-6)


def test_a_shift_of_the_score_is_one_of_the_denoiser_also_about_an_offset():
    for sde in (SDE, VE(), Shifted(VP(), lambda t: 0.7 * t)):
        denoise = GaussianDenoiser(sde, 0.3, 2.0)
        moved = shifted(denoise, sde, lambda x, t: jnp.sin(x))
        expected = score_of(denoise, sde)(X, 0.4) + jnp.sin(X)
        np.testing.assert_allclose(score_of(moved, sde)(X, 0.4), expected, rtol=2e-4)


def test_where_alpha_is_zero_nothing_is_shifted():
    sde = RectifiedFlow()
    guided = classifier_guided(lambda x, t: x, sde, lambda x, t: jnp.sum(x))
    np.testing.assert_array_equal(guided(X, 1.0), X)
    assert np.isfinite(guided(X, 0.999)).all()


def test_outside_the_interval_nothing_is_added():
    guided = classifier_guided(BOTH, SDE, positive, 2.0, Interval(0.5, 5.0))
    np.testing.assert_allclose(guided(X, 0.02), BOTH(X, 0.02), rtol=1e-6)
    np.testing.assert_allclose(guided(X, 1.0), BOTH(X, 1.0), rtol=1e-6)
    t = SDE.time_of(0.0)
    np.testing.assert_allclose(guided(X, t), classifier_guided(BOTH, SDE, positive, 2.0)(X, t), rtol=1e-6)


def test_a_linear_reward_of_a_gaussian_tilts_it_exactly():
    # p exp(b x) of N(m, v) is N(m + v b, v), and D's slope a v / (a^2 v + s^2) makes the shift exact.
    v, b = 2.0, 0.8
    plain, tilted = GaussianDenoiser(SDE, 0.3, v), GaussianDenoiser(SDE, 0.3 + v * b, v)
    guided = rewarded(plain, SDE, lambda x0: jnp.sum(x0), b)
    for t in (0.05, 0.4, 0.95):
        np.testing.assert_allclose(guided(X, t), tilted(X, t), rtol=2e-5)
    np.testing.assert_allclose(rewarded(plain, SDE, jnp.sum, b, Interval(0.0, 1e-9))(X, 0.4), plain(X, 0.4))


@pytest.mark.parametrize("edges", [(0.0, 0.5), (0.1, 1.0), (0.0, 0.6, 0.4, 1.0), (0.0, 0.5, 0.5, 1.0), (1.0,), ()])
def test_bins_that_do_not_cover_the_times_or_overlap_are_refused(edges):
    with pytest.raises(InputError, match="rise from 0 to 1"):
        Bins(edges)


def test_as_many_experts_as_bins_are_expected():
    with pytest.raises(InputError, match="2 experts for 3 bins"):
        experts([positive, positive], Bins.uniform(3))
    with pytest.raises(InputError, match="2 experts for 3 bins"):
        stacked_experts(lambda p, x, t: p * x[0], jnp.ones(2), Bins.uniform(3))
    with pytest.raises(InputError, match="1 or more"):
        experts([])


@pytest.mark.parametrize("value", [lambda x: x, lambda x: jnp.sum(x).astype(int), lambda x: (x, x)])
def test_a_log_probability_that_is_no_float_is_refused(value):
    with pytest.raises(InputError, match=r"the log-probability .* expected one real number"):
        classifier_guided(BOTH, SDE, lambda x, t: value(x))(X, 0.5)
    with pytest.raises(InputError, match=r"the reward .* expected one real number"):
        rewarded(BOTH, SDE, value)(X, 0.5)
