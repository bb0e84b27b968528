import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.nn import BySigma, ByTable, Unscaled

H = jnp.asarray([1.0, -2.0])


def test_an_output_is_divided_by_nothing_by_its_label_or_by_a_level():
    np.testing.assert_array_equal(Unscaled().divide(H, 7.3), H)
    np.testing.assert_allclose(BySigma().divide(H, jnp.asarray(0.5)), 2 * H)
    table = ByTable(sigma_min=0.01, sigma_max=100.0, count=5)
    divided = jax.vmap(lambda label: table.divide(H, label))(jnp.asarray([0.0, 1.0, 2.0, 3.0, 4.0, 5.0]))
    np.testing.assert_allclose(divided[:, 0], [0.01, 0.1, 1.0, 10.0, 100.0, 100.0], rtol=1e-6)


def test_a_table_is_the_official_one(golden):
    official = np.load(golden / "net_ncsnpp_ve.npz")["param/sigmas"]
    np.testing.assert_allclose(ByTable(0.01, 50.0, 1000).levels, official, rtol=1e-6)


@pytest.mark.parametrize("scale", [Unscaled(), BySigma(), ByTable(0.1, 1.0, 3)])
def test_the_dtype_is_kept(scale):
    assert scale.divide(H.astype(jnp.bfloat16), jnp.asarray(1.0)).dtype == jnp.bfloat16


@pytest.mark.parametrize(
    "fields", [(0.0, 1.0, 3), (2.0, 1.0, 3), (0.1, float("inf"), 3), (0.1, 1.0, 0), (0.1, 1.0, 2.0)]
)
def test_tables_that_are_none_are_refused(fields):
    with pytest.raises(InputError, match="sigma_min <= sigma_max"):
        ByTable(*fields)
