"""Several coupled arrays as one state."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import DTypeLike, Float

from sde_jax.errors import InputError
from sde_jax.pytree import function, static
from sde_jax.sde.path import GaussianPath, path, require_fitting
from sde_jax.typing import Array, Denoiser, Key, Time

Tree = dict[str, Any]
"""Arrays by name."""


@path
class Part:
    """One array of a `Product`: the path it follows, and its shape."""

    path: GaussianPath
    shape: tuple[int, ...] = static()


@path
class Product(GaussianPath):
    """Several arrays, each on a path of its own, as one vector x: nodes and edges of a graph, an image and its label.

        Product({"nodes": (VP(), (9, 4)), "edges": (VE(), (9, 9))}, project=symmetric)

    Data are a dict of arrays of these shapes; x is their x_0 (`from_data` of each path) raveled and put together in the
    order of their names, so that alpha, sigma and b are diagonal schedules. A denoiser sees all of x, see `flat`.

    `project`, a linear map from such a dict to another, is applied to all noise: x then stays in a subspace that the
    data live in, symmetric matrices or those of masked entries, provided that the schedule acts alike on what the map
    ties together. Raises `InputError` where shapes do not agree.
    """

    parts: Mapping[str, Any]
    project: Callable[[Tree], Tree] | None = None

    def __post_init__(self):
        if not (isinstance(self.parts, Mapping) and self.parts):
            raise InputError(f"Product: got {self.parts!r}: expected a dict of (path, shape) by name")
        object.__setattr__(self, "parts", {name: _part(name, self.parts[name]) for name in sorted(self.parts)})
        if self.project is None:
            return
        object.__setattr__(self, "project", function(self.project))
        whole = {name: jax.ShapeDtypeStruct(part.shape, float) for name, part in self.parts.items()}
        _require_shapes(self, jax.eval_shape(self.project, whole), "project returns")

    @property
    def shape(self) -> tuple[int]:
        """The shape of x, for `sample`."""
        return (sum(math.prod(part.shape) for part in self.parts.values()),)

    def ravel(self, tree: Tree) -> Float[Array, " n"]:
        """Return a dict of states as one vector. Raises `InputError` where names or shapes are not the product's."""
        _require_shapes(self, tree, "got")
        return jnp.concatenate([jnp.ravel(tree[name]) for name in self.parts])

    def unravel(self, x: Float[Array, " n"]) -> Tree:
        """Return the states by name; the inverse of `ravel`."""
        if jnp.shape(x) != self.shape:
            raise InputError(f"Product: x of shape {jnp.shape(x)}: expected {self.shape}, see `Product.ravel`")
        tree, start = {}, 0
        for name, part in self.parts.items():
            end = start + math.prod(part.shape)
            tree[name], start = x[start:end].reshape(part.shape), end
        return tree

    def flat(self, denoise: Callable[[Tree, Time], Tree]) -> Denoiser:
        """Return the denoiser of vectors that one of dicts is: ({name: x}, t) -> {name: E[x_0 | all of x]}."""
        return lambda x, t: self.ravel(denoise(self.unravel(x), t))

    def log_alpha(self, t: Time) -> Array:
        """Return log alpha(t) of every number."""
        return self._each(lambda path: path.log_alpha(t))

    def variance(self, t: Time) -> Array:
        """Return the variance of every number."""
        return self._each(lambda path: path.variance(t))

    def offset(self, t: Time) -> Array:
        """Return b(t) of every number."""
        return self._each(lambda path: path.offset(t))

    def alpha(self, t: Time) -> Array:
        """Return alpha(t) of every number."""
        return self._each(lambda path: path.alpha(t))

    def sigma(self, t: Time) -> Array:
        """Return sigma(t) of every number."""
        return self._each(lambda path: path.sigma(t))

    def log_snr(self, t: Time) -> Array:
        """Return log_snr(t) of every number."""
        return self._each(lambda path: path.log_snr(t))

    def prior_mean(self) -> Array:
        """Return the prior's mean of every number."""
        return self._each(lambda path: path.prior_mean())

    def prior_variance(self) -> Array:
        """Return the prior's variance of every number, before `project`."""
        return self._each(lambda path: path.prior_variance())

    def noise(self, key: Key, shape: tuple[int, ...], dtype: DTypeLike = float) -> Array:
        """Draw every part's noise, with keys of their own, and project it."""
        if tuple(shape) != self.shape:
            raise InputError(f"Product: noise of shape {tuple(shape)}: expected {self.shape}, see `Product.shape`")
        keys = jax.random.split(key, len(self.parts))
        parts = zip(keys, self.parts.items(), strict=True)
        tree = {name: part.path.noise(key, part.shape, dtype) for key, (name, part) in parts}
        return self.ravel(tree if self.project is None else self.project(tree))

    def from_data(self, data: Tree) -> Array:
        """Return the x_0 of every part as one vector."""
        _require_names(self, data)
        return self.ravel({name: part.path.from_data(data[name]) for name, part in self.parts.items()})

    def to_data(self, x0: Array) -> Tree:
        """Return the data of every part by name."""
        tree = self.unravel(x0)
        return {name: part.path.to_data(tree[name]) for name, part in self.parts.items()}

    def log_volume(self, data: Tree) -> Float[Array, ""]:
        """Return the sum of the parts'."""
        _require_names(self, data)
        return jnp.sum(jnp.stack([part.path.log_volume(data[name]) for name, part in self.parts.items()]))

    def prior_log_prob(self, x: Float[Array, " n"]) -> Float[Array, ""]:
        """Return the log-density of the prior. Raises `InputError` where noise is projected."""
        if self.project is not None:
            raise InputError(
                "Product: with `project` the prior has a density on a subspace only: parametrise the subspace by as "
                "many numbers as it has dimensions, and give these as the parts"
            )
        return super().prior_log_prob(x)

    def _each(self, schedule: Callable[[GaussianPath], Array]) -> Array:
        """Return what a schedule is for every number of x."""
        values = [jnp.broadcast_to(schedule(part.path), part.shape) for part in self.parts.values()]
        return jnp.concatenate([jnp.ravel(value) for value in values])


def _part(name: str, given: Any) -> Part:
    if isinstance(given, Part):
        return given
    match given:
        case (GaussianPath() as sde, tuple() as shape) if all(isinstance(n, int) and n >= 0 for n in shape):
            require_fitting(sde, shape)
            return Part(sde, shape)
    raise InputError(f"Product: {name!r}: got {given!r}: expected a path and the shape of its array, (VP(), (3,)) say")


def _require_names(product: Product, tree: Any) -> None:
    if not isinstance(tree, Mapping) or set(tree) != set(product.parts):
        got = sorted(tree) if isinstance(tree, Mapping) else type(tree).__name__
        raise InputError(f"Product: got {got}: expected a dict of {list(product.parts)}")


def _require_shapes(product: Product, tree: Any, what: str) -> None:
    _require_names(product, tree)
    for name, part in product.parts.items():
        if jnp.shape(tree[name]) != part.shape:
            raise InputError(f"Product: {what} {name!r} of shape {jnp.shape(tree[name])}: expected {part.shape}")
