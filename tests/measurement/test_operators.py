import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from sde_jax import measurement as m
from sde_jax.errors import InputError

SHAPE = (8, 12, 3)
X = np.random.default_rng(0).normal(size=SHAPE)
KERNEL = np.random.default_rng(1).uniform(size=(3, 5))
POSITIONS = np.array([[0.0, 0.0], [2.3, 7.9], [6.5, 10.25]])
OPERATORS = {
    "identity": m.Identity(),
    "mask": m.Mask(X[..., :1] > 0),
    "pool": m.MeanPool(4),
    "bicubic": m.Bicubic(2),
    "blur": m.Blur(KERNEL),
    "fourier": m.Fourier(X > 0),
    "sensors": m.Sensors(POSITIONS),
    "grey": m.Grey(),
    "matrix": m.Matrix(np.random.default_rng(2).normal(size=(5, X.size))),
    "chain": m.Chain((m.Blur(KERNEL), m.MeanPool(2))),
    "function": m.Linear(lambda x: 2 * x[::2]),
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS)
def test_the_adjoint_of_an_operator_moves_to_the_other_side_of_an_inner_product(operator):
    y = operator(jnp.asarray(X))
    u = np.random.default_rng(3).normal(size=y.shape)
    there, here = np.sum(np.asarray(y) * u), np.sum(X * np.asarray(operator.adjoint(jnp.asarray(u), SHAPE)))
    assert abs(there - here) < 1e-10 * abs(there)
    m.require_linear(operator, SHAPE)


@pytest.mark.parametrize("name", ["identity", "mask", "pool", "blur", "grey"])
def test_a_spectrum_is_the_operator_between_unitary_bases(name):
    spectrum, x = OPERATORS[name].spectrum(SHAPE), jnp.asarray(X)
    c = spectrum.to(x)
    assert np.allclose(spectrum.back(c), X, atol=1e-12)
    assert np.sum(np.abs(c) ** 2) == pytest.approx(np.sum(X**2), rel=1e-12)
    assert np.allclose(spectrum.of(OPERATORS[name](x)), spectrum.values * c, atol=1e-12)


def test_pooled_cells_are_the_means_of_their_blocks():
    assert np.allclose(m.MeanPool(4)(jnp.asarray(X)), X.reshape(2, 4, 3, 4, 3).mean((1, 3)))
    assert np.allclose(m.MeanPool(2)(jnp.arange(6.0)), [0.5, 2.5, 4.5])


def test_a_blur_is_scipys_periodic_convolution():
    blurred = np.stack([scipy.ndimage.convolve(X[..., c], KERNEL, mode="wrap") for c in range(3)], -1)
    assert np.allclose(m.Blur(KERNEL)(jnp.asarray(X)), blurred, atol=1e-12)


def test_bicubic_reduction_is_pillows_away_from_the_edges():
    field = np.random.default_rng(4).normal(size=(24, 24)).astype(np.float32)
    ours = np.asarray(m.Bicubic(2)(jnp.asarray(field)[..., None]))[..., 0]
    theirs = np.asarray(Image.fromarray(field).resize((12, 12), Image.Resampling.BICUBIC))
    assert np.allclose(ours[2:-2, 2:-2], theirs[2:-2, 2:-2], atol=1e-5)


def test_sensors_read_scipys_bilinear_interpolation():
    expected = np.stack([scipy.ndimage.map_coordinates(X[..., c], POSITIONS.T, order=1) for c in range(3)], -1)
    assert np.allclose(m.Sensors(POSITIONS)(jnp.asarray(X)), expected, atol=1e-12)


def test_sampled_coefficients_are_numpys():
    spectrum = np.fft.fft2(X, axes=(0, 1), norm="ortho")
    measured = np.asarray(m.Fourier(X > 0)(jnp.asarray(X)))
    assert np.allclose(measured[0] + 1j * measured[1], np.where(X > 0, spectrum, 0), atol=1e-12)


def test_a_gaussian_kernel_has_sum_one_and_its_variance():
    weights = m.gaussian_kernel(1.5, reach=6)
    offsets = np.arange(len(weights)) - len(weights) // 2
    assert weights.sum() == pytest.approx(1)
    assert (weights.sum(1) * offsets**2).sum() == pytest.approx(1.5**2, rel=1e-6)


def test_what_is_not_linear_is_told():
    with pytest.raises(InputError, match="is not linear"):
        m.require_linear(m.Linear(jnp.tanh), (4,))
    m.require_linear(m.NonLinear(jnp.tanh), (4,))
    assert m.Chain((m.Identity(), m.Linear(jnp.negative))).linear
    assert not m.Chain((m.Identity(), m.NonLinear(jnp.tanh))).linear


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (lambda: m.MeanPool(0), "factor = 0"),
        (lambda: m.MeanPool(5)(jnp.zeros(SHAPE)), "multiples"),
        (lambda: m.Bicubic(3)(jnp.zeros(SHAPE)), "multiples"),
        (lambda: m.Blur(np.ones((2, 3))), "odd sides"),
        (lambda: m.Blur(np.ones((9, 3)))(jnp.zeros(SHAPE)), "fits into it"),
        (lambda: m.Sensors(np.zeros((4, 3)))(jnp.zeros(SHAPE)), r"\[m, 2\]"),
        (lambda: m.gaussian_kernel(0), "positive"),
        (lambda: m.Bicubic().spectrum(SHAPE), "not known in closed form"),
    ],
)
def test_operators_that_cannot_be_are_refused(act, told):
    with pytest.raises(InputError, match=told):
        act()


def test_one_program_serves_every_mask():
    count = 0

    @jax.jit
    def measured(operator, x):
        nonlocal count
        count += 1
        return operator(x)

    for threshold in (-1.0, 0.0, 1.0):
        measured(m.Mask(jnp.asarray(threshold < X)), jnp.asarray(X))
    assert count == 1


def test_a_mask_is_bool_or_0_and_1_and_of_the_shape_of_x0():
    numbers = m.Mask(np.array([1, 0, 1, 1]))
    assert numbers.observed.dtype == bool
    np.testing.assert_array_equal(numbers.spectrum((4,)).values, [1, 0, 1, 1])
    for wrong, found in (([255, 0, 255, 0], "255"), ([0.5, 1, 0, 0], "0.5"), ([np.nan, 1, 1, 1], "nan")):
        with pytest.raises(InputError, match=f"a mask that holds {found}"):
            m.Mask(np.array(wrong))
    with pytest.raises(InputError, match="a mask of int32 that is traced: expected bool"):
        jax.jit(lambda mask: m.Mask(mask)(jnp.ones(4)))(jnp.array([255, 0, 255, 0], jnp.int32))
    assert jax.jit(lambda mask: m.Mask(mask)(jnp.ones(4)))(jnp.array([True, False] * 2)).tolist() == [1, 0, 1, 0]
    with pytest.raises(InputError, match=r"a mask of shape \(2, 4\) for x0 of shape \(4,\)"):
        m.Mask(np.ones((2, 4), bool))(jnp.ones(4))
