"""Every letter of the library, defined once.

x      the state, one example, of any shape `[*shape]`; never a batch (`jax.vmap` lifts what is written for one x)
t, s   diffusion times in [0, 1], scalars; t = 0 is data, t = 1 is noise, and a reverse step goes from t to s < t
x0     a clean example; x_t = alpha(t) x0 + sigma(t) eps with eps ~ N(0, I)
alpha, sigma   the scale and the standard deviation of x_t given x0
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import jax
from jaxtyping import Float, PRNGKeyArray

Array: TypeAlias = jax.Array
Key: TypeAlias = PRNGKeyArray
Time: TypeAlias = Float[jax.Array, ""] | float
Denoiser: TypeAlias = Callable[[Array, Time], Array]
"""(x, t) -> E[x0 | x_t = x]: the currency of the library."""
Score: TypeAlias = Callable[[Array, Time], Array]
"""(x, t) -> grad_x log p_t(x)."""
Params: TypeAlias = Any
"""A pytree of arrays: a network's parameters."""
Batch: TypeAlias = Mapping[str, Array]
"""`image` [batch, height, width, channels] uint8, `label` [batch] int32 (-1: none), `index` [batch] int64."""
