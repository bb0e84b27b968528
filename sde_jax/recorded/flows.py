"""Recorded samples of the probability flow, and likelihoods."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.likelihood import Hutchinson, log_likelihood
from sde_jax.likelihood.flow import LogLikelihood
from sde_jax.prediction.exact import GaussianDenoiser
from sde_jax.recorded.comparison import Comparison, Record, as_whole
from sde_jax.recorded.process import process
from sde_jax.sampling import ProbabilityFlow
from sde_jax.sampling.loop import transport
from sde_jax.typing import Array, Key

DEVIATION = 0.5
"""s0, of the data in these files."""


@dataclass(frozen=True)
class Held(Hutchinson):
    """The trace estimate of one given probe."""

    given: Float[Array, "..."] = field(default_factory=lambda: jnp.zeros(()))

    def probes(self, key: Key, shape: tuple[int, ...]) -> Array:
        """Return the probe."""
        return self.given[None]


def flows(name: str, record: Record) -> Iterator[Comparison]:
    """Compare the flow from recorded latents to eps, with their noise-free last step and without, and likelihoods."""
    official, end = process(name, record), float(record["eps"])
    denoise, key = GaussianDenoiser(official.sde, 0.0, DEVIATION**2), jax.random.key(0)

    def flow(z: Array) -> tuple[Array, Array]:
        x = transport(key, ProbabilityFlow(), official.sde, denoise, z, np.array([1.0, end])).x
        last = official.predictor("reverse_diffusion")
        return x, transport(key, last, official.sde, denoise, x, np.array([end, 0.0])).x

    @jax.jit
    @jax.vmap
    def score(x: Array, probe: Array) -> LogLikelihood:
        return log_likelihood(key, official.sde, denoise, x, divergence=Held(given=probe))

    for n, x in enumerate(jax.jit(jax.vmap(flow))(record["ode_z"])):
        yield as_whole(f"ode_out_denoise{n}", x, record[f"ode_out_denoise{n}"], 1e-4)
    size, found = record["data"][0].size, re.compile(r"bpd_(Rademacher|Gaussian)_(centered|uncentered)")
    for name, bits in record.items():
        if (match := found.fullmatch(name)) is not None:
            probe = record[f"bpd_epsilon_{match[1]}"]
            # of signs the record holds the bits, 0 and 1
            result = score(record["data"], 2 * probe - 1 if match[1] == "Rademacher" else probe)
            # a grey level is 2 / 256 wide in [-1, 1], 1 / 256 in [0, 1]
            ours = -result.value / (size * np.log(2)) + (7 if match[2] == "centered" else 8)
            yield as_whole(name, ours, bits)
            yield as_whole(name.replace("bpd_", "bpd_z_"), result.latent, record[name.replace("bpd_", "bpd_z_")], 1e-4)
