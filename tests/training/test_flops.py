import jax
import jax.numpy as jnp
import pytest
from jax import ShapeDtypeStruct as Shape

from sde_jax.training import flop_utilization, peak_flops, product_flops


def by_the_compiler(function, *arguments) -> float:
    return jax.jit(function).lower(*arguments).cost_analysis()["flops"]


def test_a_matrix_product_has_two_operations_for_every_multiplication():
    assert product_flops(jnp.matmul, Shape((5, 7), "float32"), Shape((7, 11), "float32")) == 2 * 5 * 7 * 11
    many = jnp.einsum
    left, right = Shape((3, 5, 7), "float32"), Shape((3, 7, 11), "float32")
    assert product_flops(lambda a, b: many("bij,bjk->bik", a, b), left, right) == 2 * 3 * 5 * 7 * 11


CONVOLUTIONS = {
    "plain": {"window_strides": (1, 1), "padding": "VALID"},
    "padded": {"window_strides": (1, 1), "padding": "SAME"},
    "strided": {"window_strides": (2, 3), "padding": ((1, 2), (0, 1))},
    "dilated window": {"window_strides": (1, 2), "padding": "SAME", "rhs_dilation": (2, 3)},
    "dilated input": {"window_strides": (1, 1), "padding": ((2, 1), (1, 2)), "lhs_dilation": (2, 3)},
    "cropped": {"window_strides": (1, 1), "padding": ((-1, 0), (0, -2))},
    "groups": {"window_strides": (1, 1), "padding": "SAME", "feature_group_count": 2},
    "batch groups": {"window_strides": (1, 1), "padding": "SAME", "batch_group_count": 2},
}


@pytest.mark.parametrize("settings", CONVOLUTIONS.values(), ids=CONVOLUTIONS)
def test_a_convolution_has_as_many_as_the_compiler_counts(settings):
    def convolve(x, w):
        return jax.lax.conv_general_dilated(x, w, dimension_numbers=("NHWC", "HWIO", "NHWC"), **settings)

    each = 4 // settings.get("feature_group_count", 1)
    shapes = Shape((2, 7, 8, 4), "float32"), Shape((3, 2, each, 6), "float32")
    assert product_flops(convolve, *shapes) == by_the_compiler(convolve, *shapes) > 0


def test_the_gradient_of_a_convolution_costs_twice_what_it_does():
    def convolve(x, w):
        out = jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return jnp.sum(out)

    shapes = Shape((2, 8, 8, 4), "float32"), Shape((3, 3, 4, 6), "float32")
    once = product_flops(convolve, *shapes)
    assert product_flops(jax.grad(lambda x, w: convolve(x, w) ** 2, (0, 1)), *shapes) == 3 * once


def test_loops_branches_and_calls_are_entered():
    matrix, once = Shape((5, 5), "float32"), 2 * 5**3
    product = lambda a: a @ a  # noqa: E731

    def scanned(a):
        return jax.lax.scan(lambda c, _: (product(c), None), a, length=7)[0]

    def branched(a):
        return jax.lax.cond(a[0, 0] > 0, lambda a: product(product(a)), product, a)

    assert product_flops(scanned, matrix) == 7 * once
    assert product_flops(branched, matrix) == 2 * once
    assert product_flops(lambda a: jax.jit(product)(a) + jax.checkpoint(product)(a), matrix) == 2 * once
    assert product_flops(lambda a: jax.lax.map(product, a), Shape((3, 5, 5), "float32")) == 3 * once
    assert product_flops(jax.vmap(product), Shape((3, 5, 5), "float32")) == 3 * once
    assert product_flops(jnp.sin, matrix) == 0


def test_what_has_no_arrays_as_keys_and_messages_costs_nothing():
    def function(a):
        jax.debug.print("{}", a[0, 0])
        return a + jax.random.normal(jax.random.key(0), a.shape)

    assert product_flops(function, Shape((5, 5), "float32")) == 0


@pytest.mark.parametrize(
    ("kind", "teraflops"),
    [
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA H100 80GB HBM3", 989.4),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H200", 989.4),
        ("NVIDIA L4", 121),
        ("TPU v3", 61.5),
        ("TPU v5", 459),
        ("TPU v5 lite", 197),
        ("TPU v6 lite", 918),
    ],
)
def test_a_chip_has_the_peak_of_its_data_sheet(kind, teraflops):
    assert peak_flops(kind) == pytest.approx(teraflops * 1e12)


@pytest.mark.parametrize(
    "kind", ["cpu", "NVIDIA A1000", "NVIDIA L400", "TPU v9", "NVIDIA H100 80GB HBM3 MIG 1g.10gb", ""]
)
def test_a_chip_that_is_not_known_has_none(kind):
    assert peak_flops(kind) is None
    assert flop_utilization(1e12, 1.0, 1, kind) is None


def test_utilization_is_of_all_devices_in_the_time_of_a_step():
    assert flop_utilization(4 * 918e12, 2.0, 8, "TPU v6 lite") == pytest.approx(0.25)
    assert flop_utilization(1.0, 0.0, 8, "TPU v6 lite") is None
