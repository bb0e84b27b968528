import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.training import ExponentialAverage, PowerAverages, Several, reconstruct
from sde_jax.training.averages import Profile, combined, fit, power_averages

STEPS, EVERY = 2000, 125
KEPT, ASKED = (0.05, 0.1), (0.03, 0.06, 0.07, 0.15)


@pytest.fixture(scope="module")
def tracked() -> np.ndarray:
    """Every average after every 125th step [16, 6, 2000], of parameters that are e_n at step n: weights, then.

    An average is linear in the parameters, so what holds of these holds of every training.
    """
    with jax.enable_x64(True):
        average = PowerAverages(KEPT + ASKED)

        def update(averages, step):
            return average.update(averages, (jnp.arange(STEPS) == step - 1).astype(float), step, 64), None

        def between(averages, start):
            averages, _ = jax.lax.scan(update, averages, start + 1 + jnp.arange(EVERY))
            return averages, jnp.stack(averages)

        _, kept = jax.lax.scan(between, average.init(jnp.zeros(STEPS)), jnp.arange(0, STEPS, EVERY))
        return np.asarray(kept)


@pytest.fixture(scope="module")
def snapshots(tracked):
    return [
        (Profile((i + 1) * EVERY, deviation), {"w": tracked[i, j]})
        for i in range(len(tracked))
        for j, deviation in enumerate(KEPT)
    ]


@pytest.mark.parametrize("step", [750, 2000])
@pytest.mark.parametrize("deviation", ASKED)
def test_a_reconstructed_average_is_the_trained_one_to_the_residual_of_the_fit(tracked, snapshots, step, deviation):
    direct = tracked[step // EVERY - 1, (KEPT + ASKED).index(deviation)]
    made = reconstruct(snapshots, step, deviation, tolerance=0.5)["w"]
    error = np.linalg.norm(made - direct) / np.linalg.norm(direct)
    residual = fit([profile for profile, _ in snapshots], Profile(step, deviation), 0.5).residual
    assert error == pytest.approx(residual, rel=0.05)
    assert not np.any(made[step:])


def test_with_two_deviations_the_residual_falls_as_the_square_of_the_steps_between():
    def residual(count: int) -> float:
        profiles = [Profile(n, deviation) for n in range(1, count + 1) for deviation in KEPT]
        return fit(profiles, Profile(count, 0.07)).residual

    orders = np.log2([residual(count) / residual(2 * count) for count in (32, 64, 128)])
    np.testing.assert_allclose(orders, 2, atol=0.05)
    assert residual(128) < 1e-4


@pytest.mark.parametrize("deviation", [0.04, 0.07, 0.2])
def test_no_other_coefficients_of_sum_one_come_nearer(deviation):
    profiles, target = [Profile(n, kept) for n in (3, 5, 8) for kept in KEPT], Profile(8, deviation)
    found = fit(profiles, target, tolerance=1)
    tau = (np.arange(80_000) + 0.5) / 10_000
    profile = lambda p: np.where(tau < p.step, tau ** _gamma(p.deviation), 0)  # noqa: E731
    shapes = np.stack([profile(p) / profile(p).sum() for p in profiles])
    aim = profile(target) / profile(target).sum()
    error = lambda c: np.linalg.norm(aim - c @ shapes) / np.linalg.norm(aim)  # noqa: E731
    assert found.coefficients.sum() == pytest.approx(1, abs=1e-12)
    assert error(found.coefficients) == pytest.approx(found.residual, rel=1e-3)
    for direction in np.eye(len(profiles)) - 1 / len(profiles):
        for sign in (-1, 1):
            assert error(found.coefficients + sign * 0.05 * direction) > error(found.coefficients)


def _gamma(deviation: float) -> float:
    """The exponent by bisection on the variance of tau^gamma over [0, 1], from its moments 1 / (gamma + k)."""
    low, high = 0.0, 1e4
    for _ in range(200):
        gamma = (low + high) / 2
        mean, square = (gamma + 1) / (gamma + 2), (gamma + 1) / (gamma + 3)
        low, high = (gamma, high) if square - mean**2 > deviation**2 else (low, gamma)
    return low


def test_an_average_that_was_kept_is_itself(tracked, snapshots):
    np.testing.assert_allclose(reconstruct(snapshots, 1000, 0.1)["w"], tracked[7, 1], rtol=0, atol=1e-12)


def test_a_snapshot_that_is_there_twice_changes_nothing(snapshots):
    once, twice = (reconstruct(list_, 2000, 0.07)["w"] for list_ in (snapshots, snapshots + snapshots[-6:]))
    np.testing.assert_allclose(twice, once, rtol=0, atol=1e-9)


def test_parameters_that_do_not_change_are_their_own_average_however_poor_the_fit():
    found = fit([Profile(10, 0.05)], Profile(10, 0.2), tolerance=9)
    assert found.residual > 0.5
    np.testing.assert_allclose(found.coefficients, [1])


def test_a_combination_is_added_up_in_float64_and_has_the_types_of_the_trees():
    trees = [{"w": jnp.full(2, value, jnp.float32)} for value in (2.0**30, 2.0**30 + 128, 1.0)]
    made = combined([-1.0, 1.0, 0.5], iter(trees))
    np.testing.assert_array_equal(made["w"], 128.5)
    assert made["w"].dtype == np.float32


def test_power_averages_are_found_among_several():
    average = Several({"a": ExponentialAverage(), "b": Several({"c": PowerAverages()}, "c")}, "a")
    averages = average.init({"w": jnp.ones(1)})
    assert power_averages(average, averages).keys() == {0.05, 0.1}
    assert power_averages(ExponentialAverage(), {"w": 1}) == {}


@pytest.mark.parametrize(
    ("step", "deviation", "told"),
    [
        (1900, 0.07, r"step 1900: no averages of this step are there; there are 125, 250, 375, 500, \.\.\., 1750, "),
        (2000, 0.01, r"deviation 0.01 at step 2000: 16 steps with averages of deviations 0.05, 0.1 give it to 0\.\d+ "),
        (125, 0.2, r"expected 0.05; ask for one nearer to these, or keep checkpoints more often"),
        (2000, 0.3, r"expected 0 < deviation <= 12"),
        (2000, 0.0, r"expected 0 < deviation <= 12"),
    ],
)
def test_what_the_snapshots_cannot_give_is_refused(snapshots, step, deviation, told):
    with pytest.raises(InputError, match=told):
        reconstruct(snapshots, step, deviation)


def test_without_snapshots_there_is_nothing_to_reconstruct():
    with pytest.raises(InputError, match="there are none"):
        reconstruct([], 10, 0.1)
