"""The parts of an official network of Song et al. 2021: modules of named arrays, and where ours has each array."""

from dataclasses import dataclass

from sde_jax.errors import InputError
from sde_jax.nn import (
    GroupNormalization,
    InstanceNormalization,
    InstanceNormalizationPlus,
    Normalization,
    VarianceNormalization,
)

Path = tuple[str | int, ...]
"""The keys, from the outside in, of something in the nested dictionaries of our parameters."""


@dataclass(frozen=True)
class Leaf:
    """An array: its name in ours, in PyTorch's and in Flax's files (None: there are none), and its axes there.

    Ours is PyTorch's transposed by `axes`; Flax's has `ones` axes of length 1 before those of ours.
    """

    ours: str
    torch: str | None
    flax: str
    axes: tuple[int, ...] = (0,)
    ones: int = 0


BIAS = Leaf("bias", "bias", "bias")
DENSE = (Leaf("kernel", "weight", "kernel", (1, 0)), BIAS)
CONV = (Leaf("kernel", "weight", "kernel", (2, 3, 1, 0)), BIAS)
FILTERED_CONV = (Leaf("kernel", "weight", "weight", (2, 3, 1, 0)), BIAS)
PIXELWISE = (Leaf("kernel", "W", "W", (0, 1)), Leaf("bias", "b", "b"))
FREQUENCIES = (Leaf("W", "W", "W"),)
NORMS = {
    GroupNormalization: ("GroupNorm", (Leaf("scale", "weight", "scale"), BIAS)),
    InstanceNormalization: ("InstanceNorm2d", tuple(Leaf(name, None, name, ones=3) for name in ("scale", "bias"))),
    InstanceNormalizationPlus: (
        "InstanceNorm2dPlus",
        tuple(Leaf(name, None, name, ones=3) for name in ("alpha", "gamma", "beta")),
    ),
    VarianceNormalization: ("VarianceNorm2d", (Leaf("scale", None, "scale", ones=3),)),
}
"""The official class and the arrays of every normalisation; the PyTorch code of these networks has the first alone."""


@dataclass(frozen=True)
class Part:
    """A layer of a module: where it is in our parameters, its official name (empty: the module itself), its arrays."""

    path: Path
    name: str
    leaves: tuple[Leaf, ...]


@dataclass(frozen=True)
class OfficialModule:
    """A module of an official network.

    `listed` is false where PyTorch does not number it, `numbered` where Flax does not, so that `kind` is all its name.
    """

    kind: str
    parts: tuple[Part, ...] = ()
    listed: bool = True
    numbered: bool = True


def official_norm(normalization: Normalization) -> tuple[str, tuple[Leaf, ...]]:
    """Return the class and the arrays of a normalisation; raises `InputError` for one that is not official."""
    if type(normalization) not in NORMS:
        known = ", ".join(kind.__name__ for kind in NORMS)
        raise InputError(f"{normalization} has no official counterpart: expected one of {known}")
    return NORMS[type(normalization)]
