"""The parameters of the official NCSN and NCSNv2 (Song et al. 2021, their JAX code) in ours."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from sde_jax.checkpoints.correspondence import Correspondence, Path
from sde_jax.errors import InputError
from sde_jax.nn import (
    NCSN,
    GroupNormalization,
    InstanceNormalization,
    InstanceNormalizationPlus,
    NCSNv2,
    VarianceNormalization,
)


def refine_net_names(architecture: NCSN | NCSNv2) -> Iterator[Correspondence]:
    """Yield the counterpart of every parameter of a network; official names are as in RefineBlock_1/Conv_0/kernel.

    Raises `InputError` for a normalisation that the official networks do not have.
    """
    official, dilations = _Official(*_norm(architecture), isinstance(architecture, NCSN)), architecture.dilations
    yield from _conv("Conv_0", ("conv_in",))
    for i, dilation in enumerate(dilations):
        for j in range(2):
            down = i > 0 and j == 0
            yield from official.residual(2 * i + j, ("encoder", i, j), down=down, halves=down and dilation == 1)
    for i in range(len(dilations)):
        yield from official.refine(i, ("decoder", i), inputs=min(i, 1) + 1, blocks=3 if i == len(dilations) - 1 else 1)
    yield from official.norm("", 0, ("out", "norm"))
    yield from _conv("Conv_1", ("out", "conv"))


NORMS = {
    InstanceNormalization: ("InstanceNorm2d", ("scale", "bias")),
    InstanceNormalizationPlus: ("InstanceNorm2dPlus", ("alpha", "gamma", "beta")),
    VarianceNormalization: ("VarianceNorm2d", ("scale",)),
    GroupNormalization: ("GroupNorm", ("scale", "bias")),
}
"""The official module of each normalisation, and its parameters, which have the same names here."""


@dataclass(frozen=True)
class _Official:
    """How one network's parts are named there."""

    norm_name: str
    parameters: Mapping[str, str]
    conditional: bool

    def norm(self, parent: str, index: int, ours: Path) -> Iterator[Correspondence]:
        for theirs, name in self.parameters.items():
            yield Correspondence(f"{parent}{self.norm_name}_{index}/{theirs}", (*ours, name), _without_ones)

    def residual(self, index: int, ours: Path, *, down: bool, halves: bool) -> Iterator[Correspondence]:
        parent = f"{'ConditionalResidualBlock' if self.conditional else 'ResidualBlock'}_{index}/"
        outer, skip = ("ConvMeanPool_0/Conv_0", "ConvMeanPool_1/Conv_0") if halves else ("Conv_1", "Conv_2")
        yield from self.norm(parent, 0, (*ours, "inner", "norm"))
        yield from self.norm(parent, 1, (*ours, "outer", "norm"))
        yield from _conv(f"{parent}Conv_0", (*ours, "inner", "conv"))
        yield from _conv(parent + outer, (*ours, "outer", "conv"))
        if down:
            yield from _conv(parent + skip, (*ours, "skip"))

    def refine(self, index: int, ours: Path, *, inputs: int, blocks: int) -> Iterator[Correspondence]:
        prefix = "Cond" if self.conditional else ""
        parent = f"{prefix}RefineBlock_{index}/{prefix}"
        for k in range(inputs):
            yield from self.units(f"{parent}RCUBlock_{k}/", (*ours, "adapt", k), 2)
            if inputs > 1:
                yield from self.stage(f"{parent}MSFBlock_0/", k, (*ours, "fuse", "stages", k), use_bias=True)
        for k in range(2):
            yield from self.stage(f"{parent}CRPBlock_0/", k, (*ours, "pool", "stages", k))
        yield from self.units(f"{parent}RCUBlock_{inputs}/", (*ours, "out"), blocks)

    def units(self, parent: str, ours: Path, blocks: int) -> Iterator[Correspondence]:
        for k in range(2 * blocks):
            yield from self.stage(parent, k, (*ours, "blocks", k // 2, k % 2))

    def stage(self, parent: str, index: int, ours: Path, *, use_bias: bool = False) -> Iterator[Correspondence]:
        if self.conditional:
            yield from self.norm(parent, index, (*ours, "norm"))
        yield from _conv(f"{parent}Conv_{index}", (*ours, "conv"), use_bias=use_bias)


def _conv(theirs: str, ours: Path, *, use_bias: bool = True) -> Iterator[Correspondence]:
    for name in ("kernel", "bias") if use_bias else ("kernel",):
        yield Correspondence(f"{theirs}/{name}", (*ours, name))


def _norm(architecture: NCSN | NCSNv2) -> tuple[str, Mapping[str, str]]:
    if isinstance(architecture, NCSN):
        return "ConditionalInstanceNorm2dPlus", {"Embed_0/embedding": "table"}
    if type(architecture.normalization) not in NORMS:
        known = ", ".join(kind.__name__ for kind in NORMS)
        raise InputError(f"{architecture.normalization} has no official counterpart: expected one of {known}")
    name, parameters = NORMS[type(architecture.normalization)]
    return name, {parameter: parameter for parameter in parameters}


def _without_ones(array: np.ndarray) -> np.ndarray:
    """Return a vector [1, 1, 1, channels] as [channels], and a table as it is."""
    return array.reshape(array.shape[-1:]) if array.shape[:-1] == (1, 1, 1) else array
