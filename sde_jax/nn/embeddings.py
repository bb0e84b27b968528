"""Embeddings of the noise label."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from sde_jax.typing import Array


def positional(noise: Float[Array, ""], features: int) -> Float[Array, " features"]:
    """Return sines and cosines of a scalar at `features / 2` geometric frequencies from 1 to 1/10,000.

    `features` is even. Vaswani et al. 2017 (section 3.5), in the order and spacing of Ho et al. 2020.
    """
    half = features // 2
    # Rounded to float32 once, at the end: an error of a frequency is multiplied by labels of up to 999.
    frequencies = np.exp(-np.log(10_000) * np.arange(half) / (half - 1)).astype(np.float32)
    return jnp.concatenate([jnp.sin(noise * frequencies), jnp.cos(noise * frequencies)])
