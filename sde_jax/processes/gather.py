"""Arrays that lie on the devices of several processes, as arrays of each."""

from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils


def on_host(tree: Any) -> Any:
    """Return the arrays of a pytree as NumPy arrays, whole on every process; all processes call it together."""
    return jax.tree.map(_whole, tree)


def _whole(array: Any) -> np.ndarray:
    if isinstance(array, jax.Array) and not (array.is_fully_addressable or array.is_fully_replicated):
        return multihost_utils.process_allgather(array, tiled=True)
    return np.asarray(array)
