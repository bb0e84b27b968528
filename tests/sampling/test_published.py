"""Our published variants beside the papers' own formulas, written down independently in the benchmark."""

import importlib.util
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj

PATH = Path(__file__).parents[1] / "benchmarks" / "work_per_quality.py"
PAIRS = {
    "UniPC(3), final": ((3, True), sj.UniPC(order=3, published=True, lower_order_final=True)),
    "UniPC(2)": ((2, False), sj.UniPC(order=2, published=True, lower_order_final=False)),
    "UniPC(2), final": ((2, True), sj.UniPC(order=2, published=True, lower_order_final=True)),
    "UniPC(3)": ((3, False), sj.UniPC(order=3, published=True, starter=False, lower_order_final=False)),
    "2M": ((2, False), sj.DPMSolverMultistep(published=True, lower_order_final=False)),
    "3M, final": ((3, True), sj.DPMSolverMultistep(order=3, published=True, lower_order_final=True)),
}


@pytest.fixture(scope="module")
def formulas():
    spec = importlib.util.spec_from_file_location("work_per_quality", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if n == 0 else pytest.mark.slow) for n, name in enumerate(PAIRS)]
)
def test_published_variants_are_the_formulas_of_their_papers(formulas, name):
    (order, final), ours = PAIRS[name]
    theirs = (formulas.PublishedUniPC if "UniPC" in name else formulas.PublishedMultistep)(order, final=final)
    sde, x, grid = sj.VP(), jnp.array([0.7, 0.1]), jnp.array([0.9, 0.8, 0.7, 0.55, 0.4, 0.3, 0.2])
    denoise = sj.exact.MixtureDenoiser(sde, [0.4, 0.6], [[1.0, 0.0], [-1.0, 0.5]], [0.1, 0.2])
    ends = [s.solve(jax.random.key(0), x, grid, 0, sde=sde, denoise=denoise).x for s in (ours, theirs)]
    np.testing.assert_allclose(*ends, rtol=1e-12)
