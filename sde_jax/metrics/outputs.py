"""What a feature extractor says of n examples, and what may be accepted of it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import ArrayLike

from sde_jax.errors import InputError


@dataclass(frozen=True)
class Outputs:
    """Features and logits of n examples, on the host.

    features: [n, d] float32; logits: [n, k] float32, or None where the extractor has none; index: [n] int64, a number
    of each example's own, by which it is known whatever batch or process it comes in.
    """

    features: np.ndarray
    logits: np.ndarray | None
    index: np.ndarray


def checked(outputs: Outputs) -> Outputs:
    """Return outputs as float32 and int64. Raises `InputError` for other ranks or lengths, NaN and infinities."""
    features, index = np.asarray(outputs.features, np.float32), np.asarray(outputs.index)
    logits = None if outputs.logits is None else np.asarray(outputs.logits, np.float32)
    if index.ndim != 1 or not np.issubdtype(index.dtype, np.integer):
        raise InputError(f"index is {index.dtype} of shape {index.shape}; expected [n] whole numbers, one an example")
    for name, values in {"features": features, "logits": logits}.items():
        if values is None:
            continue
        if values.ndim != 2 or len(values) != len(index) or not values.shape[1]:
            raise InputError(
                f"{name} have the shape {values.shape}; expected [{len(index)}, d] for the {len(index)} examples of"
                " the batch: flatten all but the first axis"
            )
        wrong = ~np.isfinite(values).all(1)
        if wrong.any():
            raise InputError(
                f"{name} of {wrong.sum()} examples are not finite, of index {index[wrong][0]} for one; expected"
                " numbers: look at the samples and at the feature extractor"
            )
    return Outputs(features, logits, index.astype(np.int64))


def require_finite(**values: ArrayLike) -> None:
    """Raise `InputError`, naming the first array that holds NaN or infinity and how many of its numbers are that."""
    for name, value in values.items():
        array = np.asarray(value)
        broken = array.size - np.count_nonzero(np.isfinite(array))
        if broken:
            raise InputError(
                f"{name}: {broken} of {array.size} numbers are NaN or infinite: expected finite numbers; leave those "
                "examples out, or find out where they come from"
            )
