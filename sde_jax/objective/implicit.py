"""Score matching without a target, for processes whose kernel p(x_t | x_0) is not in closed form.

For x ~ p, E[tr ds/dx + |s|^2 / 2] = E|s - grad log p|^2 / 2 + a constant (Hyvarinen 2005, theorem 1): x_t itself, drawn
in any way, is all that these losses need. The trace is estimated along probes e with E[e e^T] = I, such as signs.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Float

from sde_jax.errors import InputError
from sde_jax.pytree import known
from sde_jax.typing import Array, Score, Time

Probes = Float[Array, "m ..."]


def sliced_score_matching(
    score: Score, x: Float[Array, "..."], t: Time, probes: Probes, reduced: bool = True
) -> Float[Array, ""]:
    """Return the mean over m probes of e^T (ds/dx) e + |s|^2 / 2 at one x_t (Song, Garg, Shi & Ermon 2019).

    reduced: False has (e^T s)^2 / 2 in place of |s|^2 / 2, the loss before their variance reduction, of the same mean.
    Raises `InputError` unless every probe is of the shape of x.
    """
    _require_probes(x, probes)

    def along(e: Array) -> Array:
        s, slope = jax.jvp(lambda x: score(x, t), (x,), (e,))
        square = jnp.sum(s**2) if reduced else jnp.sum(e * s) ** 2
        return jnp.sum(e * slope) + 0.5 * square

    return jnp.mean(jax.vmap(along)(probes))


def finite_difference_score_matching(
    score: Score, x: Float[Array, "..."], t: Time, probes: Probes, step: float
) -> Float[Array, ""]:
    """Return `sliced_score_matching` by differences along each probe, h = step, up to O(h^2) (Pang et al. 2020):

    e^T (s(x + h e) - s(x - h e)) / (2 h) + |s(x + h e) + s(x - h e)|^2 / 8.

    Two evaluations a probe and no derivative in x. Of a step too small the differences lose their digits.
    Raises `InputError` unless every probe is of the shape of x and step > 0.
    """
    _require_probes(x, probes)
    if known(step) and not step > 0:
        raise InputError(f"step = {step}: expected step > 0")

    def along(e: Array) -> Array:
        ahead, behind = score(x + step * e, t), score(x - step * e, t)
        return jnp.sum(e * (ahead - behind)) / (2 * step) + jnp.sum((ahead + behind) ** 2) / 8

    return jnp.mean(jax.vmap(along)(probes))


def _require_probes(x: Array, probes: Probes) -> None:
    if jnp.ndim(probes) != jnp.ndim(x) + 1 or jnp.shape(probes)[1:] != jnp.shape(x) or len(probes) == 0:
        raise InputError(f"probes of shape {jnp.shape(probes)}: expected [m, ...] for an x of shape {jnp.shape(x)}")
