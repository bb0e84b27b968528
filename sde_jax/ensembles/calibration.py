"""Numbers of an example by which a posterior is compared with what was measured, and with the truth.

Where x is drawn from the exact posterior of a measurement y of a truth drawn from the prior, (x, y) and (truth, y) have
one distribution. So whatever is computed from x and y is distributed as it is for the truth, and the truth's rank among
m members is uniform: simulation-based calibration (Talts et al. 2018, theorem 1).
"""

import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.measurement import Measurements, sources
from sde_jax.typing import Array


def chi_square_of(measurements: Measurements, x0: Array) -> Float[Array, ""]:
    """Return (y - A x0)^T R^-1 (y - A x0) over the number of observed entries, of all sources.

    1 on average for exact posterior samples as for the truth; less: y is fitted too well, more: not well enough.
    """
    parts = sources(measurements)
    total = sum((part.chi_square(x0) for part in parts), start=jnp.zeros(()))
    count = sum((jnp.sum(part.observed) for part in parts), start=jnp.zeros(()))
    return total / jnp.maximum(count, 1)


def quantities(measurements: Measurements, x0: Array) -> dict[str, Float[Array, ""]]:
    """Return test quantities of ONE x0 for simulation-based calibration.

    Its mean and mean square; the mean square of neighbours' differences, which correlations show in; and log p(y | x0)
    up to a constant, which a posterior that hears y too little or too much shifts (Modrak et al. 2023, section 3).
    """
    steps = [jnp.diff(x0, axis=axis) for axis, n in enumerate(x0.shape) if n > 1]
    squares = jnp.concatenate([jnp.square(d).reshape(-1) for d in steps]) if steps else jnp.zeros(1)
    return {
        "mean": jnp.mean(x0),
        "energy": jnp.mean(jnp.square(x0)),
        "roughness": jnp.mean(squares),
        "log_likelihood": -0.5 * chi_square_of(measurements, x0),
    }
