import jax
import numpy as np
import pytest
import scipy.stats

import sde_jax as sj

PATHS = [sj.VP(), sj.SubVP(), sj.VE()]
TIMES = (0.01, 0.4, 1.0)
MEAN, COVARIANCE = np.array([0.5, -1.0, 0.2]), np.array([[0.5, 0.1, 0.0], [0.1, 0.3, -0.1], [0.0, -0.1, 0.2]])
X = np.array([0.4, -0.3, 1.1])


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_the_gaussian_denoiser_is_the_posterior_mean_of_linear_algebra(sde):
    denoise = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    for t in TIMES:
        alpha, noise = np.asarray(sde.alpha(t)), np.asarray(sde.sigma(t)) ** 2 * np.eye(3)
        gain = alpha * COVARIANCE @ np.linalg.inv(alpha**2 * COVARIANCE + noise)
        np.testing.assert_allclose(denoise(X, t), MEAN + gain @ (X - alpha * MEAN), rtol=1e-9)


DIAGONAL = [
    sj.Schedule(lambda t: -t * np.array([1.0, 3.0, 0.5]), lambda t: t * np.array([0.5, 1.0, 2.0])),
    sj.MeanReverting(np.array([2.0, 0.0, -1.0]), np.array([0.1, 0.5, 1.0])),
    sj.MeanReverting(np.array([2.0, 0.0, -1.0]), 0.5),
    sj.Shifted(sj.VE(), lambda t: t * np.array([1.0, -2.0, 0.3])),
]


@pytest.mark.parametrize("covariance", [COVARIANCE, np.diag(COVARIANCE), 0.3], ids=["full", "diagonal", "isotropic"])
@pytest.mark.parametrize("sde", DIAGONAL, ids=["schedule", "deviations", "mean", "shift"])
def test_a_schedule_and_an_offset_of_each_number_condition_the_joint_gaussian(sde, covariance):
    """(x_0, x_t) is Gaussian: E[x_0 | x_t] and the density of x_t from its blocks."""
    dense = covariance if np.ndim(covariance) == 2 else np.diag(np.broadcast_to(covariance, 3))
    denoise, t = sj.exact.GaussianDenoiser(sde, MEAN, covariance), 0.4
    scale, noise = (np.diag(np.broadcast_to(f(t), 3)) for f in (sde.alpha, sde.variance))
    mean_t, cross, total = scale @ MEAN + sde.offset(t), dense @ scale, scale @ dense @ scale + noise
    np.testing.assert_allclose(denoise(X, t), MEAN + cross @ np.linalg.solve(total, X - mean_t), rtol=1e-9)
    expected = scipy.stats.multivariate_normal(mean_t, total).logpdf(X)
    np.testing.assert_allclose(denoise.log_prob(X, t), expected, rtol=1e-9)
    image = sj.exact.GaussianDenoiser(sde, np.r_[MEAN, 2 * MEAN], 0.3)(np.stack([X, X]), t)
    alone = sj.exact.GaussianDenoiser(sde, 2 * MEAN, 0.3)(X, t)
    np.testing.assert_allclose(image[1], alone, rtol=1e-9)


@pytest.mark.parametrize("sde", PATHS, ids=str)
def test_log_densities_are_those_of_scipy(sde):
    weights, means = np.array([1.0, 3.0]), np.stack([MEAN, -MEAN])
    covariances = np.stack([COVARIANCE, 2 * COVARIANCE])
    gaussian = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    mixture = sj.exact.MixtureDenoiser(sde, weights, means, covariances)
    for t in TIMES:
        alpha, noise = np.asarray(sde.alpha(t)), np.asarray(sde.variance(t)) * np.eye(3)
        parts = [
            scipy.stats.multivariate_normal(alpha * m, alpha**2 * c + noise)
            for m, c in zip(means, covariances, strict=True)
        ]
        np.testing.assert_allclose(gaussian.log_prob(X, t), parts[0].logpdf(X), rtol=1e-9)
        expected = np.log(0.25 * parts[0].pdf(X) + 0.75 * parts[1].pdf(X))
        np.testing.assert_allclose(mixture.log_prob(X, t), expected, rtol=1e-9)


def test_a_mixture_denoiser_averages_the_posterior_means_by_their_responsibilities():
    sde, means = sj.VP(), np.stack([MEAN, -MEAN])
    mixture = sj.exact.MixtureDenoiser(sde, np.array([0.25, 0.75]), means, np.stack([COVARIANCE, COVARIANCE / 2]))
    parts = [
        sj.exact.GaussianDenoiser(sde, means[0], COVARIANCE),
        sj.exact.GaussianDenoiser(sde, -MEAN, COVARIANCE / 2),
    ]
    joint = np.array([w * np.exp(p.log_prob(X, 0.3)) for w, p in zip((0.25, 0.75), parts, strict=True)])
    expected = sum(r * p(X, 0.3) for r, p in zip(joint / joint.sum(), parts, strict=True))
    np.testing.assert_allclose(mixture(X, 0.3), expected, rtol=1e-9)


def test_isotropic_diagonal_and_full_covariances_are_one_denoiser():
    sde, x = sj.SubVP(), np.linspace(-1, 1, 4).reshape(2, 2)
    mean = np.linspace(0, 1, 4)
    forms = [0.3, np.full(4, 0.3), 0.3 * np.eye(4)]
    gaussians = [sj.exact.GaussianDenoiser(sde, mean, c) for c in forms]
    stacked = [np.stack([np.asarray(c), 2 * np.asarray(c)]) for c in forms]
    mixtures = [sj.exact.MixtureDenoiser(sde, np.ones(2), np.stack([mean, -mean]), c) for c in stacked]
    for family in (gaussians, mixtures):
        for denoise in family:
            assert denoise(x, 0.4).shape == x.shape
            np.testing.assert_allclose(denoise(x, 0.4), family[0](x, 0.4), rtol=1e-12)
            np.testing.assert_allclose(denoise.log_prob(x, 0.4), family[0].log_prob(x, 0.4), rtol=1e-12)


def test_a_mixture_of_one_is_a_gaussian():
    sde = sj.VE()
    one = sj.exact.MixtureDenoiser(sde, np.ones(1), MEAN[None], COVARIANCE[None])
    gaussian = sj.exact.GaussianDenoiser(sde, MEAN, COVARIANCE)
    np.testing.assert_allclose(one(X, 0.4), gaussian(X, 0.4), rtol=1e-12)
    np.testing.assert_allclose(one.log_prob(X, 0.4), gaussian.log_prob(X, 0.4), rtol=1e-12)


def test_densities_sum_over_every_number_of_an_image():
    sde, x = sj.VP(), np.linspace(-1, 1, 12).reshape(2, 2, 3)
    denoise = sj.exact.GaussianDenoiser(sde, 0.0, 0.25)
    std = np.sqrt(sde.alpha(0.3) ** 2 * 0.25 + sde.variance(0.3))
    np.testing.assert_allclose(denoise.log_prob(x, 0.3), scipy.stats.norm.logpdf(x, scale=std).sum(), rtol=1e-12)


def test_closed_forms_lift_over_examples_and_times():
    denoise = sj.exact.GaussianDenoiser(sj.VP(), MEAN, COVARIANCE)
    x, t = np.stack([X, 2 * X]), np.array([0.2, 0.7])
    lifted = jax.jit(jax.vmap(denoise))(x, t)
    np.testing.assert_allclose(lifted, np.stack([denoise(*pair) for pair in zip(x, t, strict=True)]), rtol=1e-12)


@pytest.mark.parametrize(
    ("mean", "covariance"), [(np.zeros(3), np.eye(2)), (np.zeros(3), np.ones(2)), (0.0, np.ones((2, 2, 2)))]
)
def test_a_covariance_that_does_not_fit_the_mean_is_refused(mean, covariance):
    with pytest.raises(sj.InputError, match="expected a mean of n numbers with a covariance of shape"):
        sj.exact.GaussianDenoiser(sj.VP(), mean, covariance)


@pytest.mark.parametrize(
    ("weights", "means", "covariances"),
    [(np.ones(2), np.zeros((3, 2)), np.ones(2)), (np.ones(2), np.zeros((2, 2)), np.ones(3)), (1.0, np.zeros(2), 1.0)],
)
def test_a_mixture_whose_parts_do_not_agree_in_number_is_refused(weights, means, covariances):
    with pytest.raises(sj.InputError, match=r"expected \[k\], \[k, n\] and"):
        sj.exact.MixtureDenoiser(sj.VP(), weights, means, covariances)
