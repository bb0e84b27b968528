"""Data of known entropy: independent numbers from histograms, whose exact denoiser is known.

Of the exact model the bits per dimension of every example are those of its own probability, up to what the noise at
`start` blurs.
"""

import jax
import numpy as np
import pytest
import scipy.stats

import sde_jax as sj
from sde_jax.data import Scaling

NUMBERS, EXAMPLES = 16, 8


def excess(encoding, edges, probabilities, data_of, start=1e-5) -> float:
    """The bits per dimension of examples drawn from histograms, less those of their densities, in the data's units."""
    generator, widths = np.random.default_rng(0), np.diff(edges) * 2**encoding.log2_scale
    drawn = np.stack([[generator.choice(row.size, p=row) for row in probabilities] for _ in range(EXAMPLES)])
    truth = -np.log2(probabilities[np.arange(NUMBERS), drawn] / widths[drawn]).mean(1)
    denoise = sj.exact.HistogramDenoiser(sj.VP(), edges, probabilities)

    def bits(key, data):
        # Of independent numbers the Jacobian is diagonal, and a probe of signs estimates its trace without error.
        settings = {"divergence": sj.Hutchinson(1), "tolerance": sj.Tolerance(1e-4, 1e-4), "start": start}
        return sj.bits_per_dim(key, sj.VP(), denoise, data, encoding, **settings).value

    found = jax.jit(jax.vmap(bits))(jax.random.split(jax.random.key(1), EXAMPLES), data_of(drawn, generator))
    return float(np.mean(np.asarray(found) - truth))


def smooth(levels: int) -> np.ndarray:
    """[NUMBERS, levels] binomial probabilities."""
    p = np.random.default_rng(levels).uniform(0.2, 0.8, (NUMBERS, 1))
    return scipy.stats.binom.pmf(np.arange(levels), levels - 1, p)


def rugged(levels: int) -> np.ndarray:
    """[NUMBERS, levels] probabilities that jump between all neighbours."""
    return np.random.default_rng(levels).dirichlet(np.ones(levels), NUMBERS)


@pytest.mark.parametrize(
    ("levels", "low", "high"),
    [
        (17, -1.0, 1.0),
        pytest.param(17, 0.0, 1.0, marks=pytest.mark.slow),
        pytest.param(256, -1.0, 1.0, marks=pytest.mark.slow),
        pytest.param(256, 0.0, 1.0, marks=pytest.mark.slow),
    ],
)
def test_bits_per_dimension_of_levels_are_their_entropy(levels, low, high):
    encoding, edges = sj.Quantization(levels, low, high), np.linspace(low, high, levels + 1)
    assert abs(excess(encoding, edges, smooth(levels), lambda drawn, _: drawn)) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("levels", [17, 256])
def test_levels_that_jump_need_noise_that_is_narrower_than_their_cells(levels):
    """What sigma(start) blurs is lost, a share of sigma / cell of the data: 0.013 and 0.10 bits at the usual start."""
    encoding, edges = sj.Quantization(levels), np.linspace(-1, 1, levels + 1)
    blurred, sharp = (excess(encoding, edges, rugged(levels), lambda drawn, _: drawn, s) for s in (1e-5, 1e-10))
    assert abs(sharp) < 0.01
    assert sharp < blurred < 0.2


def test_bits_per_dimension_of_real_numbers_are_their_differential_entropy():
    """Densities that are constant between edges, 40 units wide: x_0 = (value - 100) / 20."""
    scaling, edges = Scaling((100.0,), (20.0,)), np.linspace(-1, 1, 18)

    def within(drawn, generator):
        return np.float32(100 + 20 * generator.uniform(edges[drawn], edges[drawn + 1]))

    assert abs(excess(scaling, edges, smooth(17), within)) < 0.01
