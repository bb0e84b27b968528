"""The weights of particles, point by point: what motion does to a density and what they must make up for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.particles import FeynmanKac
from sde_jax.reverse import reverse

PATHS = {"VP": sj.VP(), "VE": sj.VE(0.05, 5.0)}
T = 0.5


def tilt(x, t):
    return (1 - t) ** 2 * jnp.sum(0.7 * x + 0.2 * jnp.sin(x))


@pytest.mark.parametrize("churn", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("potential", [None, tilt], ids=["product", "tilted"])
@pytest.mark.parametrize("path", PATHS)
def test_weights_make_up_for_what_the_motion_does_to_the_target_at_every_point(path, potential, churn):
    """d log p / d tau = -div a - a . s + (c g)^2 / 2 (div s + |s|^2) + d log w / d tau, s = grad log p, p unnormalised.

    The Feynman-Kac equation of particles dx = a d tau + c g dw; Skreta et al. 2025, section 3.
    """
    sde, powers = PATHS[path], (1.4, -0.6)
    one = sj.exact.MixtureDenoiser(sde, np.array([0.4, 0.6]), np.array([[-0.5], [1.0]]), np.array([0.2, 0.4]))
    models = one, sj.exact.GaussianDenoiser(sde, 0.4, 1.5)
    system = FeynmanKac(sde, models, powers, potential, solver=sj.EulerMaruyama(churn))

    def log_target(x, t):
        found = sum(power * model.log_prob(x[None], t) for model, power in zip(models, powers, strict=True))
        return found if potential is None else found + potential(x[None], t)

    def drift(x):
        """a, downwards in t."""
        guided = sj.prediction.Estimator(lambda x, t: system.guided(x, t, system.look(x, t)))
        return -reverse(sde, guided, churn).drift(x[None], jnp.asarray(T))[0]

    def rate(x):
        seen = system.look(x[None], T)
        return -jax.grad(lambda s: system.gain(x[None], x[None], T, s, seen, seen))(T)

    def residual(x):
        a, slope = jax.jvp(drift, (x,), (1.0,))
        score, curve = jax.jvp(jax.grad(lambda x: log_target(x, T)), (x,), (1.0,))
        diffused = 0.5 * churn**2 * sde.rates(T)[1] * (curve + score**2)
        climb = -jax.grad(log_target, 1)(x, T)
        return climb - (-slope - a * score + diffused) - rate(x)

    left = jax.jit(jax.vmap(residual))(jnp.linspace(-2.0, 2.5, 7))
    np.testing.assert_allclose(left, 0, atol=1e-6)


@pytest.mark.parametrize("powers", [(1.5, -0.5), (1.0, 1.0)])
def test_the_last_step_to_data_weighs_as_much_as_many_short_ones(powers):
    """At an x that is held, what is gained from a small sigma to 0 is what is gained in many steps almost to 0."""
    sde, start, x = sj.EDMPath(1.0), 0.02, jnp.array([0.3, -0.8])
    models = sj.exact.GaussianDenoiser(sde, 0.5, 1.0), sj.exact.GaussianDenoiser(sde, -1.0, 0.7)
    system = FeynmanKac(sde, models, powers)

    @jax.jit
    def gain(t, s):
        before, after = system.look(x, t), system.look(x, jnp.where(s > 0, s, t))
        return system.gain(x, x, t, s, before, after)

    times = jnp.geomspace(start, 1e-3 * start, 300)
    many = jax.vmap(gain)(times[:-1], times[1:]).sum()
    np.testing.assert_allclose(gain(start, 0.0), many, rtol=5e-3)
    assert abs(many) > 1e-5


def test_the_first_weights_are_those_of_the_prior_s_power():
    """Z_1 of N(m, S)^B is the integral of the power of its density; particles start from N(m, S / B)."""
    sde, total = sj.VE(0.05, 3.0), 2.5
    system = FeynmanKac(sde, (sj.exact.GaussianDenoiser(sde, 0.0, 1e-6),), (total,))
    grid = jnp.array([1.0, 0.5, 0.1])
    start = jax.jit(jax.vmap(lambda key: system.start(key, (3,), grid)))
    particles, log_weights = start(jax.random.split(jax.random.key(0), 4000))
    z = 3 * (-0.5 * total * np.log(2 * np.pi * 9.0) + 0.5 * np.log(2 * np.pi * 9.0 / total))
    np.testing.assert_allclose(log_weights, z, rtol=1e-6)
    np.testing.assert_allclose(np.var(particles.x), 9.0 / total, rtol=4.5 * np.sqrt(2 / 12000))


def test_along_the_flow_a_tilt_weighs_by_how_much_it_rises_with_order_two():
    """Of one model to the power 1 and without churn log w gains V(end) - V(start): what is left is the trapezoid's."""
    sde = sj.VP()
    model = sj.exact.GaussianDenoiser(sde, 0.4, 0.5)
    system = FeynmanKac(sde, (model,), (1.0,), tilt, solver=sj.DPMSolverMultistep(order=2))

    @jax.jit
    def error(grid):
        def begin(x):
            return system.start(jax.random.key(0), (1,), grid)[0]._replace(x=x, seen=system.look(x, grid[0]))

        def body(particle, times):
            return system.move(jax.random.key(0), particle, *times, False)

        x = jnp.array([0.9])
        particle, gains = jax.lax.scan(body, begin(x), (grid[:-1], grid[1:]))
        return gains.sum() - (tilt(particle.x, grid[-1]) - tilt(x, grid[0]))

    coarse, fine = (abs(error(jnp.linspace(0.8, 0.2, n + 1))) for n in (16, 32))
    assert np.log2(coarse / fine) > 1.6, (coarse, fine)
