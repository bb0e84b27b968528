import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax.codec import decode, encode
from sde_jax.errors import InputError
from sde_jax.training import Average, ExponentialAverage, HalfLife, PowerAverages, Several

PARTS = {"short": ExponentialAverage(0.5), "long": HalfLife(100), "power": PowerAverages((0.1, 0.05))}
SEVERAL = Several(PARTS, "long")


def trained(average: Average):
    averages = average.init({"w": jnp.arange(3.0)})
    for n in range(1, 5):
        averages = average.update(averages, {"w": jnp.sin(n * jnp.arange(3.0))}, jnp.asarray(n), 16)
    return averages


def test_each_is_what_it_is_alone():
    together = trained(SEVERAL)
    assert together.keys() == PARTS.keys()
    for name, average in PARTS.items():
        jax.tree.map(np.testing.assert_array_equal, together[name], trained(average))


def test_samples_are_drawn_with_the_one_that_is_named_and_every_one_has_a_name():
    together = trained(SEVERAL)
    assert SEVERAL.params(together) is together["long"]
    named = SEVERAL.named(together)
    assert named.keys() == {"short", "long", "power", "power.0.1", "power.0.05"}
    assert named["short"] is together["short"]
    assert named["power"] is named["power.0.1"] is together["power"][0]
    assert named["power.0.05"] is together["power"][1]


def test_one_average_alone_needs_no_name():
    assert ExponentialAverage().named({"w": 1}) == {}


def test_several_averages_come_back_from_json():
    decoded, problems = decode(Average, encode(SEVERAL))
    assert (decoded, problems) == (SEVERAL, [])


@pytest.mark.parametrize(
    ("averages", "sampled", "told"),
    [
        (PARTS, "short ", "expected one of short, long, power"),
        ({}, "", "expected one of some averages"),
        ({"a b": HalfLife()}, "a b", "names of letters"),
    ],
)
def test_averages_without_the_one_to_sample_are_refused(averages, sampled, told):
    with pytest.raises(InputError, match=told):
        Several(averages, sampled)
