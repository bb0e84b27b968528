"""Examples' features kept whole, for metrics that compare example with example."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from sde_jax.errors import InputError, whole
from sde_jax.metrics.outputs import Outputs, checked, require_finite
from sde_jax.pytree import in_one_line


@in_one_line
class Samples(NamedTuple):
    """Features of the examples that are kept, in the order of their indices: a monoid.

    features: [m, d] float32; indices: [m] int64, rising; seen: [] int64, how many there were. d is 0 for none.
    """

    features: np.ndarray
    indices: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True)
class KeptSamples:
    """The monoid of a metric that keeps examples: all, or `limit` of them where there are more.

    Those are kept whose indices' hashes (`_hashes`) are smallest: a random subset that depends on the indices alone,
    and on no order, batch or process. Raises `InputError` unless `limit` is None or 2 or more.
    """

    _: KW_ONLY
    limit: int | None = 50_000
    uses_reference: ClassVar[bool] = True

    def __post_init__(self):
        if self.limit is not None and not whole(self.limit, 2):
            raise InputError(f"{self}: expected limit >= 2, or None for no limit")

    def init(self) -> Samples:
        """Return no samples."""
        return Samples(np.zeros((0, 0), np.float32), np.zeros(0, np.int64), np.array(0, np.int64))

    def update(self, state: Samples, outputs: Outputs) -> Samples:
        """Return the state with the examples of `outputs`."""
        outputs = checked(outputs)
        return self.merge(state, Samples(outputs.features, outputs.index, np.array(len(outputs.index), np.int64)))

    def merge(self, a: Samples, b: Samples) -> Samples:
        """Return the samples of both. Raises `InputError` for an index that both have, and for other features."""
        parts = [part for part in (a, b) if part.seen]
        if len({part.features.shape[1] for part in parts}) > 1:
            sizes = " and ".join(str(part.features.shape[1]) for part in parts)
            raise InputError(f"{sizes} features in one metric; expected those of one extractor")
        if not parts:
            return self.init()
        indices = np.concatenate([part.indices for part in parts])
        order = np.argsort(indices, kind="stable")
        twice = indices[order][1:] == indices[order][:-1]
        if twice.any():
            raise InputError(f"example {indices[order][1:][twice][0]} was counted twice; expected each index once")
        if self.limit is not None and len(order) > self.limit:
            hashes = _hashes(indices[order])
            order = order[np.sort(np.argpartition(hashes, self.limit - 1)[: self.limit])]
        features = np.concatenate([part.features for part in parts])
        if not np.array_equal(order, np.arange(len(features))):  # as they come one copy is enough
            features, indices = features[order], indices[order]
        return Samples(features, indices, np.asarray(a.seen + b.seen))


def compared(generated: Samples, reference: Samples | None, least: int = 2) -> tuple[np.ndarray, np.ndarray]:
    """Return the features of both, [n, d] and [m, d] float32.

    Raises `InputError` where there is no reference, and as `check_sets` does.
    """
    if reference is None:
        raise InputError("this metric compares with a reference; none was given")
    check_sets(generated.features, reference.features, least)
    return generated.features, reference.features


def check_sets(generated: np.ndarray, reference: np.ndarray, least: int = 2) -> None:
    """Raise `InputError` for fewer than `least` rows of either, rows of different length, NaN and infinities."""
    if min(len(generated), len(reference)) < least:
        raise InputError(
            f"{len(generated)} generated and {len(reference)} reference examples; expected {least} or more of each"
        )
    if generated.shape[1:] != reference.shape[1:]:
        sizes = (" x ".join(map(str, x.shape[1:])) or "1" for x in (generated, reference))
        raise InputError(
            "generated examples have {} features, the reference {}; expected those of one extractor".format(*sizes)
        )
    require_finite(generated=generated, reference=reference)


def left_out(**states: Samples | None) -> tuple[str, ...]:
    """Return a line for each state that does not keep all it has seen."""
    return tuple(
        f"{len(state.indices)} of {state.seen} {who} examples were used: a random subset, see limit"
        for who, state in states.items()
        if state is not None and len(state.indices) < state.seen
    )


def _hashes(indices: np.ndarray) -> np.ndarray:
    """Return the finalizer of SplitMix64 (Steele, Lea & Flood 2014), a bijection of 64-bit words, of every index."""
    z = indices.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
