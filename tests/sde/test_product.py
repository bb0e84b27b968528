"""Several arrays as one state."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.sde import ConstantReversion
from sde_jax.testing import check_sde

KEY = jax.random.key
PARTS = {
    "node": (sj.VP(), (2,)),
    "edge": (sj.MeanReverting(np.array([0.5, -1.0]), 0.3, ConstantReversion()), (2, 2)),
    "label": (sj.VE(), ()),
}
DATA = {"node": np.array([1.0, 2.0]), "edge": np.array([[3.0, 4.0], [5.0, 6.0]]), "label": np.array(7.0)}


def symmetric(tree):
    return {**tree, "edge": jnp.triu(tree["edge"]) + jnp.triu(tree["edge"], 1).T}


@pytest.mark.slow
def test_products_obey_the_laws_of_a_gaussian_sde():
    check_sde(sj.Product({**PARTS, "positive": (sj.Transformed(sj.VP(), sj.Log()), (2,))}))


def test_data_are_raveled_in_the_order_of_their_names_and_come_back():
    sde = sj.Product(PARTS)
    x0 = sde.from_data(DATA)
    np.testing.assert_array_equal(x0, [3, 4, 5, 6, 7, 1, 2])
    assert sde.shape == x0.shape
    jax.tree.map(np.testing.assert_array_equal, sde.to_data(x0), DATA)


@pytest.mark.parametrize("name", ["log_alpha", "alpha", "variance", "sigma", "log_snr", "offset"])
def test_every_number_follows_the_path_of_its_part(name):
    sde = sj.Product(PARTS)
    values = sde.unravel(getattr(sde, name)(0.4))
    for part, (path, shape) in PARTS.items():
        np.testing.assert_allclose(values[part], np.broadcast_to(getattr(path, name)(0.4), shape), rtol=1e-12)


def test_a_product_passes_through_compiled_functions_whatever_the_order_of_its_parts():
    sde = sj.Product(dict(reversed(PARTS.items())), project=symmetric)
    key, x0 = KEY(0), sde.from_data(DATA)
    compiled = jax.jit(lambda sde, x0: sde.perturb(key, x0, 0.3)[0])(sde, x0)
    np.testing.assert_allclose(compiled, sj.Product(PARTS, symmetric).perturb(key, x0, 0.3)[0], rtol=1e-12)


@pytest.mark.parametrize("solver", [sj.sampling.Ancestral(), sj.EulerMaruyama()], ids=str)
def test_coupled_gaussian_arrays_are_sampled_with_their_coupling(solver):
    sde = sj.Product({"a": (sj.VP(), (1,)), "b": (sj.VP(0.5, 10.0), (2,))})
    mean = np.array([0.5, -1.0, 2.0])
    covariance = np.array([[0.5, 0.3, -0.1], [0.3, 0.4, 0.1], [-0.1, 0.1, 0.3]])
    exact = sj.exact.GaussianDenoiser(sde, mean, covariance)
    denoise = sde.flat(lambda tree, t: sde.unravel(exact(sde.ravel(tree), t)))
    keys, grid, n = jax.random.split(KEY(0), 4000), np.linspace(1, 0.01, 100) ** 2, 4000
    tree = jax.jit(lambda keys: sj.sample(keys, solver, sde, denoise, grid, sde.shape).x)(keys)
    assert {name: value.shape for name, value in tree.items()} == {"a": (n, 1), "b": (n, 2)}
    x = np.concatenate([tree["a"], tree["b"]], 1)
    np.testing.assert_allclose(x.mean(0), mean, atol=0.05)
    np.testing.assert_allclose(np.cov(x.T), covariance, atol=0.05)


@pytest.mark.slow
def test_projected_noise_keeps_symmetric_data_symmetric_all_the_way():
    sde = sj.Product({"edge": (sj.VP(), (3, 3))}, project=symmetric)
    # independent numbers of variance 1/4 above the diagonal and on it
    denoise = sj.exact.GaussianDenoiser(sj.VP(), 0.0, 0.25)
    keys, grid = jax.random.split(KEY(0), 4000), np.linspace(1, 0.01, 60) ** 2
    found = jax.jit(lambda keys: sj.sample(keys, sj.sampling.Ancestral(), sde, denoise, grid, (9,), frames=3))(keys)
    for edge in (found.x["edge"], found.trajectory["edge"]):
        np.testing.assert_allclose(edge, np.swapaxes(edge, -1, -2), atol=1e-12)
    np.testing.assert_allclose(found.x["edge"].std(0), 0.5, atol=0.04)


def test_the_noise_is_projected_and_of_the_parts_own_keys():
    sde = sj.Product({"edge": (sj.VP(), (3, 3)), "more": (sj.VP(), (3, 3))}, project=symmetric)
    tree = sde.unravel(sde.noise(KEY(0), sde.shape))
    np.testing.assert_array_equal(tree["edge"], tree["edge"].T)
    assert not np.any(tree["edge"] == tree["more"])
    above = np.triu_indices(3, 1)
    assert not np.any(tree["more"][above] == tree["more"].T[above])


def test_a_projected_prior_has_no_density():
    with pytest.raises(sj.InputError, match="density on a subspace only"):
        sj.Product({"edge": (sj.VP(), (3, 3))}, symmetric).prior_log_prob(jnp.zeros(9))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: sj.Product({}), "expected a dict"),
        (lambda: sj.Product([sj.VP()]), "expected a dict"),  # type: ignore[arg-type]
        (lambda: sj.Product({"a": sj.VP()}), "'a': got VP.*: expected a path and the shape"),
        (lambda: sj.Product({"a": (sj.VP(), 3)}), "expected a path and the shape"),
        (lambda: sj.Product({"a": (sj.VP(), (3,))}, lambda tree: tree["a"]), "expected a dict of ..a.."),
        (
            lambda: sj.Product({"a": (sj.VP(), (3,))}, lambda tree: {"a": tree["a"][:2]}),
            r"project returns 'a' of shape \(2,\): expected \(3,\)",
        ),
        (lambda: sj.Product(PARTS).from_data({"node": 1.0}), r"got \['node'\]: expected a dict of \['edge', 'label'"),
        (lambda: sj.Product(PARTS).from_data(DATA | {"node": np.zeros(3)}), r"'node' of shape \(3,\): expected \(2,\)"),
        (lambda: sj.Product(PARTS).to_data(jnp.zeros(6)), r"x of shape \(6,\): expected \(7,\)"),
        (lambda: sj.Product(PARTS).noise(KEY(0), (6,)), r"noise of shape \(6,\): expected \(7,\)"),
        (lambda: sj.Product(PARTS).perturb(KEY(0), jnp.zeros(6), 0.5), r"of shape \(7,\) for x of shape \(6,\)"),
        (lambda: sj.Product({"a": (PARTS["edge"][0], (2, 3))}), r"offset of shape \(2,\) for x of shape \(2, 3\)"),
    ],
)
def test_parts_and_data_that_do_not_fit_are_refused_with_both_shapes(wrong, message):
    with pytest.raises(sj.InputError, match=message):
        wrong()
