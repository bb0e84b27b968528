import jax
import numpy as np
import pytest

from sde_jax.codec import components, decode
from sde_jax.errors import InputError
from sde_jax.metrics import Features, Raw


@pytest.mark.parametrize(("shape", "levels"), [((3,), None), ((2, 2, 3), 256)])
def test_raw_features_are_the_numbers_of_an_example_in_their_own_units(shape, levels):
    data = np.random.default_rng(0).integers(0, 256, (5, *shape)).astype(np.uint8 if levels else np.float32)
    extractor = Raw().open(shape, levels)
    features, logits = jax.jit(extractor)(data)
    assert logits is None
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, data.reshape(5, extractor.size))
    assert not extractor.comparable
    assert extractor.name
    assert extractor.protocol


def test_raw_features_refuse_examples_of_another_shape():
    with pytest.raises(InputError, match=r"\(2,\).*\(3,\)"):
        Raw().open((3,), None)(np.zeros((4, 2)))
    for shape in [(), (0,), (2, -1)]:
        with pytest.raises(InputError, match="sizes"):
            Raw().open(shape, None)


def test_raw_is_found_by_its_name():
    assert components(Features) == {"Raw": Raw}
    assert decode(Features, "Raw") == (Raw(), [])
