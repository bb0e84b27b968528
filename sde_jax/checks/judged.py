"""Functions that return what their checks found, or raise it."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

from sde_jax.checks.discharge import discharged, messages
from sde_jax.errors import NumericalError
from sde_jax.typing import Array


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Checks:
    """What the checks of a function found, a pytree: `failed` [..., k], for each of k messages; the messages."""

    failed: Bool[Array, "... k"]
    messages: tuple[str, ...]

    def require(self) -> None:
        """Raise `NumericalError` with the first message that failed. Waits for the result."""
        failed = np.asarray(self.failed)
        for number, message in enumerate(self.messages):
            if failed[..., number].any():
                raise NumericalError(message)

    def tree_flatten(self):
        """Return (leaves, what is static)."""
        return (self.failed,), self.messages

    @classmethod
    def tree_unflatten(cls, messages: tuple[str, ...], leaves: tuple[Array]) -> "Checks":
        """Return the checks of leaves."""
        return cls(*leaves, messages)


def judged(function: Callable[..., Any]) -> Callable[..., tuple[Any, Checks]]:
    """Return the function that returns `Checks` beside the result: for `jax.jit`, which keeps what it compiles.

    Arguments are pytrees of arrays. Raises `NotImplementedError` for a check within a `jax.shard_map`.
    """

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> tuple[Any, Checks]:
        program, shapes = jax.make_jaxpr(function, return_shape=True)(*args, **kwargs)
        said = tuple(dict.fromkeys(messages(program)))
        nothing = dict.fromkeys(said, jnp.zeros((), bool))
        results, failed = discharged(program, jax.tree.leaves((args, kwargs)), nothing)
        verdict = jnp.stack([failed[one] for one in said]) if said else jnp.zeros(0, bool)
        return jax.tree.unflatten(jax.tree.structure(shapes), results), Checks(verdict, said)

    return run


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function, compiled, raising `NumericalError` where within it the library's functions would.

    Under `jax.jit` alone NaN comes back in the place of what failed. `function` may hold `jax.vmap`, `jax.grad`, loops
    and `jax.jit` itself; what is compiled is kept by its arguments' shapes, and by JAX's persistent cache. Within
    another transformation it is the function as it is. Raises as `judged` does.

        draw = checked(lambda keys: sample(keys, solver, sde, denoise, grid, (2,)).x)
    """
    compiled = jax.jit(judged(function))

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        if any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((args, kwargs))):
            return function(*args, **kwargs)
        result, checks = compiled(*args, **kwargs)
        checks.require()
        return result

    return run
