import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.testing import check_sde

PATHS = [
    sj.VP(),
    sj.VP(beta_min=0.0, beta_max=12.0),
    sj.VP(beta_min=3.0, beta_max=3.0),
    sj.SubVP(),
    sj.SubVP(beta_min=0.5, beta_max=8.0),
    sj.VE(),
    sj.VE(sigma_min=0.1, sigma_max=378.0),
    sj.EDMPath(),
    sj.EDMPath(sigma_max=1.5),
    sj.RectifiedFlow(),
    sj.Cosine(),
    sj.Cosine(s=0.0, last_log_snr=-3.0),
]


@sj.path
class Diagonal(sj.GaussianPath):
    """A path whose numbers are noised at speeds of their own."""

    slow: float = 2.0
    fast: float = 9.0

    def log_alpha(self, t):
        return -0.5 * t * jnp.array([self.slow, self.fast, 5.0])

    def variance(self, t):
        return -jnp.expm1(-t * jnp.array([self.slow, self.fast, 5.0]))


@pytest.mark.parametrize("path", [*PATHS, Diagonal()], ids=str)
def test_every_path_obeys_the_laws_of_a_gaussian_sde(path):
    # Cosine turns steeply before its end
    check_sde(path, kinks=1 - np.geomspace(1e-5, 0.05, 10) if isinstance(path, sj.Cosine) else ())


@pytest.mark.slow
def test_a_path_of_ones_own_samples_scores_and_has_a_loss():
    sde = sj.Schedule(lambda t: jnp.log1p(-t), jnp.square)
    denoise = sj.exact.GaussianDenoiser(sde, 0.3, 0.04)
    keys = jax.random.split(jax.random.key(0), 2)
    # alpha vanishes at t = 1, where f is infinite: the exponential samplers may start there, the others before
    exact = sj.exact.GaussianDenoiser(sde, 0.3, 0.0)
    x = sj.sample(keys, sj.sampling.Ancestral(), sde, exact, np.array([1.0, 0.5, 0.0]), (3,)).x
    np.testing.assert_allclose(x, 0.3)
    x = sj.sample(keys, sj.EulerMaruyama(), sde, denoise, np.array([0.9, 0.5, 0.1]), (3,)).x
    assert np.all(np.isfinite(x))
    loss = sj.denoising_score_matching(keys[0], sde, denoise, x[0], 0.5, sj.Simple())
    assert np.isfinite(loss)


@pytest.mark.parametrize("path", [sj.VP(0.3, 7.0), sj.SubVP(0.3, 7.0), sj.VE(0.3, 7.0)], ids=str)
def test_a_path_survives_the_round_trip_through_its_leaves(path):
    leaves, structure = jax.tree.flatten(path)
    assert leaves == [0.3, 7.0]
    assert jax.tree.unflatten(structure, leaves) == path


@pytest.mark.parametrize(("one", "other"), [(sj.VP(), sj.SubVP()), (sj.VP(), sj.VE()), (Diagonal(), sj.VE())], ids=str)
def test_no_compiled_function_takes_one_path_for_another(one, other):
    # jit finds its programs by the structure of its arguments; register_dataclass gives all of these the same one
    assert jax.tree.structure(one) != jax.tree.structure(other)


def test_one_compilation_serves_every_parameter_of_a_path():
    traces = []

    @jax.jit
    def log_snr(sde, t):
        traces.append(sde)
        return sde.log_snr(t)

    for path in (sj.VP(0.1, 20.0), sj.VP(0.2, 10.0)):
        np.testing.assert_allclose(log_snr(path, 0.5), path.log_snr(0.5))
    assert len(traces) == 1


@pytest.mark.parametrize("path", [sj.VP(), sj.VE()], ids=str)
def test_compilation_and_lifting_over_t_change_no_value(path):
    times, x = np.linspace(0.01, 1, 3), jnp.arange(4.0)

    def facts(t):
        return path.drift(x, t), path.diffusion(t), path.alpha(t), path.sigma(t), path.transition(t / 2, t)

    one_by_one = jax.tree.map(lambda *values: np.stack(values), *map(facts, times))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), jax.vmap(facts)(times), one_by_one)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), jax.jit(facts)(0.3), facts(0.3))


@pytest.mark.parametrize(("low", "high"), [(-0.1, 20.0), (20.0, 0.1), (0.0, 0.0), (float("nan"), 1.0)])
def test_rates_that_are_negative_or_fall_are_refused(low, high):
    for path in (sj.VP, sj.SubVP):
        with pytest.raises(sj.InputError, match=f"beta_min={low}, beta_max={high}.*expected 0 <= beta_min <= beta_max"):
            path(beta_min=low, beta_max=high)


@pytest.mark.parametrize(("low", "high"), [(0.0, 50.0), (-1.0, 50.0), (50.0, 0.01), (1.0, 1.0), (float("nan"), 1.0)])
def test_deviations_that_do_not_grow_from_above_zero_are_refused(low, high):
    with pytest.raises(sj.InputError, match=f"sigma_min={low}, sigma_max={high}.*expected 0 < sigma_min < sigma_max"):
        sj.VE(sigma_min=low, sigma_max=high)


@pytest.mark.parametrize("t", [1e-6, 1e-4, 0.3, 1.0])
def test_the_time_of_a_log_snr_keeps_the_digits_of_times_near_zero(t):
    """On EDM's path lambda = -log(sigma_max t), of which t is the exponential; float32 resolves lambda to 4e-7."""
    for x64, rtol in ((True, 1e-12 + 1e-19 / t), (False, 2e-6 + 1e-10 / t)):
        with jax.enable_x64(x64):
            sde = sj.EDMPath(2.0)
            np.testing.assert_allclose(sde.time_of(-jnp.log(jnp.asarray(2.0 * t, float))), t, rtol=rtol)
            assert sde.time_of(jnp.asarray(-100.0)) == 1
