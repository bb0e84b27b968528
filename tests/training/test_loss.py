from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.likelihood import Quantization
from sde_jax.nn import Channels, ClassLabel, Conditions, Vector
from sde_jax.objective import Importance, Likelihood, Objective, OptimalTransport, Reflow
from sde_jax.prediction import X0, ScaledTime
from sde_jax.prediction.exact import GaussianDenoiser, MixtureDenoiser
from sde_jax.sde import VP
from sde_jax.training import BatchLoss, Corruption, Geometric, Symmetry

SHAPE, N = (4, 4, 1), 1000
LABELS = np.arange(N, dtype=np.int32) % 5 - 1
"""-1, 0, ..., 3: a fifth of the examples has no label."""
TOLD = Geometric(probability=0.3)
SOME = Symmetry(left_right=True, turns=True)
HEARS = Conditions({"label": ClassLabel(4), "augmentation": Vector(9)})
BATCH: Any = {"data": np.broadcast_to(LABELS.reshape(-1, 1, 1, 1) + 1, (N, *SHAPE)).astype(np.uint8), "label": LABELS}
"""Images whose every level is the label's number."""


def silent(params, x, label, key, condition=None):
    return jnp.zeros_like(x)


def drawer(coupling=None, **settings):
    objective = Objective() if coupling is None else Objective(coupling=coupling)
    draw = jax.jit(BatchLoss(silent, VP(), objective, Quantization(5), **settings).draw)
    return lambda seed=0, batch=BATCH: jax.tree.map(
        np.asarray, draw(jax.random.key(seed), batch)._replace(dropout=None)
    )


@pytest.fixture(scope="module")
def plain():
    """Examples that are told nothing."""
    return drawer()()


def test_what_is_told_changes_neither_noise_nor_times(plain):
    draw = drawer(condition=HEARS, label_dropout=0.3, augmentation=TOLD)
    told, again, other = draw(), draw(), draw(1)
    assert plain.condition is None
    np.testing.assert_allclose(plain.eps, told.eps, atol=1e-6)
    np.testing.assert_allclose(plain.t, told.t, atol=1e-6)
    untouched = np.all(told.condition["augmentation"] == 0, axis=1)
    assert untouched.mean() == pytest.approx(0.5 * 0.85 * 0.7**4, abs=0.05)
    np.testing.assert_array_equal(np.abs(plain.x0 - told.x0).max((1, 2, 3)) < 1e-6, untouched)
    jax.tree.map(np.testing.assert_array_equal, told.condition, again.condition)
    assert not any(np.array_equal(told.condition[name], other.condition[name]) for name in HEARS.parts)


def ranks(values):
    return np.argsort(np.argsort(values, axis=None)) / values.size


def test_all_that_is_drawn_for_an_example_is_independent():
    """Uniform ranks of independent numbers have a correlation of deviation 1 / sqrt(n), also among their neighbours.

    One channel and one shape for all: two draws from one key would then be functions of each other.
    """
    hears = Conditions({"label": ClassLabel(4), "channels": Channels(1)})
    shown = Corruption(noise=0.5, hidden=0.4)
    draw = jax.jit(BatchLoss(silent, VP(), Objective(), Quantization(5), hears, 0.5, degradation=shown).draw)
    batch = {"data": np.full((N, *SHAPE), 2, np.uint8), "label": np.ones(N, np.int32)}
    found = draw(jax.random.key(3), batch)
    heard = found.given["channels"]
    mask, added = jnp.isnan(heard), jnp.where(jnp.isnan(heard), 0.0, heard - found.x0)
    numbers = {"cell": found.x0, "eps": found.eps, "mask": mask + 0.0, "added": added}
    numbers = {name: np.asarray(value).reshape(N, -1) for name, value in numbers.items()}
    np.testing.assert_allclose(numbers["added"][numbers["mask"] == 0].mean(), 0, atol=4 * 0.5 / np.sqrt(0.6 * N * 16))
    for one in numbers:
        for other in numbers:
            apart = range(1 if one == other else 0, 2)
            if one != other and {one, other} == {"mask", "added"}:
                continue  # what is hidden is not seen
            for shift in apart:
                a, b = ranks(numbers[one]), ranks(np.roll(numbers[other], shift, 0))
                assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4.5 / np.sqrt(a.size), (one, other, shift)
    t = np.argsort(np.argsort(found.t)) / N
    for name in ("cell", "eps"):
        assert abs(np.corrcoef(t, numbers[name][:, 0])[0, 1]) < 4.5 / np.sqrt(N), name
    assert len(np.unique(jax.random.key_data(found.dropout), axis=0)) == N
    withheld = np.asarray(found.condition["label"]) == 4
    assert 0.4 < withheld.mean() < 0.6
    by_dropout = np.asarray(jax.vmap(lambda key: jax.random.bernoulli(key, 0.5))(found.dropout))
    assert 0.4 < np.mean(withheld == by_dropout) < 0.6


def test_an_example_hears_its_own_label_and_sometimes_none():
    draw = drawer(OptimalTransport(), condition=ClassLabel(4), label_dropout=0.3, symmetry=SOME)
    examples = draw(batch={name: a[:500] for name, a in BATCH.items()})
    level = np.floor((examples.x0.mean((1, 2, 3)) + 1) / 0.4).astype(int)
    heard, known = examples.condition, LABELS[:500] >= 0
    np.testing.assert_array_equal(level, LABELS[:500] + 1)
    np.testing.assert_array_equal(heard[~known], 4)
    np.testing.assert_array_equal(heard[heard < 4], LABELS[:500][heard < 4])
    assert np.mean(heard[known] == 4) == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / 400))


def test_example_and_noise_are_moved_together_and_each_pair_by_a_map_of_its_own(plain):
    moved = drawer(symmetry=SOME, condition=ClassLabel(4))()
    np.testing.assert_array_equal(moved.condition, np.where(LABELS < 0, 4, LABELS))
    maps = [lambda x, f=flip, n=n: np.rot90(x[:, ::-1] if f else x, n) for flip in (False, True) for n in range(4)]
    found = []
    for x0, eps, gx0, geps in list(zip(plain.x0, plain.eps, moved.x0, moved.eps, strict=True))[:100]:
        (which,) = [i for i, g in enumerate(maps) if np.allclose(g(eps), geps, atol=1e-5)]
        np.testing.assert_allclose(maps[which](x0), gx0, atol=1e-6)
        found.append(which)
    assert set(found) == set(range(8))


def exact(denoise):
    """The network that predicts as a denoiser does."""
    return lambda params, x, label, key, condition=None: denoise(x, label / 999)


@pytest.fixture(scope="module")
def losses():
    """Losses, without and with a symmetry, of noisy examples of the eight images that one image is turned into."""
    sde, picture = VP(), np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.uint8)
    orbit = [np.rot90(one, n) for one in (picture, picture[:, ::-1]) for n in range(4)]
    means = (np.stack(orbit).reshape(8, -1) + 0.5) * 0.4 - 1
    variance = 0.4**2 / 12
    denoisers = {
        "one Gaussian for every pixel": GaussianDenoiser(sde, np.zeros(16), 0.4),
        "invariant": MixtureDenoiser(sde, np.ones(8), means, np.full(8, variance)),
        "of one image": GaussianDenoiser(sde, means[0], variance),
    }
    batch = {"data": np.stack(orbit)[np.arange(400) % 8]}

    def loss(denoise, symmetry):
        objective = Objective(parameterization=X0(ScaledTime()))
        return BatchLoss(exact(denoise), sde, objective, Quantization(5), symmetry=symmetry)

    pairs = {name: [loss(denoise, symmetry) for symmetry in (Symmetry(), SOME)] for name, denoise in denoisers.items()}
    both = jax.jit(lambda key: jax.tree.map(lambda one: one(None, key, batch), pairs))
    return both(jax.random.key(0))


def test_the_loss_of_a_denoiser_that_commutes_is_invariant_and_that_of_another_is_not(losses):
    for name in ("one Gaussian for every pixel", "invariant"):
        plain, moved = map(float, losses[name])
        assert moved == pytest.approx(plain, rel=1e-5)
    plain, moved = map(float, losses["of one image"])
    assert abs(moved / plain - 1) > 1e-3
    least = losses["invariant"][1]
    assert least < 0.9 * min(losses["of one image"][1], losses["one Gaussian for every pixel"][1])


def test_the_loss_of_importance_sampled_times_is_corrected_to_that_of_uniform_ones():
    """Of F = 0 the error of epsilon is eps^2: the loss is the mean of g^2 / sigma^2 over all times."""
    sde, start = VP(), 1e-2
    objective = Objective(weighting=Likelihood(), times=Importance(start))
    found = jax.jit(BatchLoss(silent, sde, objective, Quantization(5)))(None, jax.random.key(0), BATCH)
    exact = 2 * float(sde.log_snr(start) - sde.log_snr(1.0)) / (1 - start)
    np.testing.assert_allclose(found, exact, rtol=4.5 * np.sqrt(2 / (16 * N)))


def test_what_cannot_be_told_is_refused():
    with pytest.raises(InputError, match="hears label"):
        drawer(condition=ClassLabel(4))(batch={"data": BATCH["data"]})
    with pytest.raises(InputError, match="hears augmentation"):
        drawer(condition=HEARS)()
    with pytest.raises(InputError, match="Reflow replaces the examples"):
        drawer(Reflow(jnp.zeros((3, *SHAPE)), jnp.ones((3, *SHAPE))), condition=ClassLabel(4))
    for settings in ({"symmetry": SOME}, {"augmentation": TOLD}):
        with pytest.raises(InputError, match="conditions of channels are not"):
            drawer(condition=Channels(1), **settings)
