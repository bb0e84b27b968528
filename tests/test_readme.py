"""What the README shows is what happens."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

README = Path(__file__).parents[1] / "README.md"


def python_block(holds: str) -> str:
    """The one block of Python in the README that holds a text."""
    (block,) = (b for b in re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL) if holds in b)
    return block


@pytest.mark.slow
def test_the_library_example_learns_two_moons():
    from sklearn.neighbors import NearestNeighbors

    names: dict = {}
    exec(python_block("make_moons"), names)
    data, samples = names["data"], names["draw"].x
    assert names["nats"](names["keys"], data[:1000]).mean() > -0.75  # a single Gaussian reaches -1.9
    for points in (samples, names["code"].x):
        assert jnp.isfinite(points).all()
        distance, _ = NearestNeighbors(n_neighbors=1).fit(data).kneighbors(points)
        assert (distance < 0.15).mean() > 0.95
        assert jnp.allclose(points.mean(0), data.mean(0), atol=0.1)


def test_the_sampler_of_the_readme_is_of_order_one_and_exact_for_a_point():
    from sde_jax.testing import check_solver

    names: dict = {}
    exec(python_block("class ExponentialEuler"), names)
    check_solver(names["ExponentialEuler"](), order=1)
    sj = names["sj"]
    point = jnp.array([0.3, -1.2])
    samples = sj.sample(
        jax.random.split(jax.random.key(0), 3),
        names["ExponentialEuler"](),
        sj.VP(),
        lambda x, t: point,
        sj.grids.uniform(5, 0.0),
        (2,),
    )
    assert jnp.allclose(samples.x, point, atol=1e-6)


def test_flow_matchings_sampler_ends_at_a_known_point():
    import sde_jax as sj

    point = jnp.array([0.3, -1.2])
    names = {"sj": sj, "keys": jax.random.split(jax.random.key(0), 3), "denoise": lambda x, t: point}
    exec(python_block("EulerMaruyama(churn=0.0)"), names)
    assert jnp.allclose(names["flow"].x, point, atol=1e-6)


def test_every_command_of_the_readme_is_one_of_the_program():
    from sde_jax.cli import parse

    text = README.read_text()
    (run,) = re.findall(r'^run="(.*)"$', text, re.MULTILINE)
    lines = re.findall(r"^sde-jax .*", text.replace("$run", run), re.MULTILINE)
    assert len(lines) >= 16
    for line in lines:
        assert parse(line.split("#")[0].split()).command
