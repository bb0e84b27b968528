"""What the official NCSN and NCSNv2 are made of, and where ours have it; only their Flax code can be run."""

from collections.abc import Iterator
from dataclasses import dataclass

from sde_jax.checkpoints.official_module import Leaf, OfficialModule, Part, Path, official_norm
from sde_jax.nn import NCSN, NCSNv2

KERNEL, BIAS = Leaf("kernel", None, "kernel"), Leaf("bias", None, "bias")
CLASS_NORM = ("ConditionalInstanceNorm2dPlus", (Leaf("table", None, "Embed_0/embedding"),))


def refine_net_modules(architecture: NCSN | NCSNv2) -> Iterator[OfficialModule]:
    """Yield the modules of a network in their order; raises `InputError` for a normalisation that is not official."""
    conditional, dilations = isinstance(architecture, NCSN), architecture.dilations
    norm = CLASS_NORM if isinstance(architecture, NCSN) else official_norm(architecture.normalization)
    official = _Official(*norm, conditional)
    residual, prefix = ("ConditionalResidualBlock", "Cond") if conditional else ("ResidualBlock", "")
    yield OfficialModule("Conv", (_conv("", ("conv_in",)),))
    for i, dilation in enumerate(dilations):
        for j in range(2):
            down = i > 0 and j == 0
            parts = official.residual(("encoder", i, j), down=down, halves=down and dilation == 1)
            yield OfficialModule(residual, tuple(parts))
    for i in range(len(dilations)):
        parts = official.refine(
            ("decoder", i), prefix, inputs=min(i, 1) + 1, blocks=3 if i == len(dilations) - 1 else 1
        )
        yield OfficialModule(f"{prefix}RefineBlock", tuple(parts))
    yield OfficialModule(official.norm_name, (Part(("out", "norm"), "", official.leaves),))
    yield OfficialModule("Conv", (_conv("", ("out", "conv")),))


@dataclass(frozen=True)
class _Official:
    """How the parts of one network's modules are named there."""

    norm_name: str
    leaves: tuple[Leaf, ...]
    conditional: bool

    def norm(self, parent: str, index: int, path: Path) -> Part:
        return Part(path, f"{parent}{self.norm_name}_{index}", self.leaves)

    def residual(self, path: Path, *, down: bool, halves: bool) -> Iterator[Part]:
        outer, skip = ("ConvMeanPool_0/Conv_0", "ConvMeanPool_1/Conv_0") if halves else ("Conv_1", "Conv_2")
        yield self.norm("", 0, (*path, "inner", "norm"))
        yield self.norm("", 1, (*path, "outer", "norm"))
        yield _conv("Conv_0", (*path, "inner", "conv"))
        yield _conv(outer, (*path, "outer", "conv"))
        if down:
            yield _conv(skip, (*path, "skip"))

    def refine(self, path: Path, prefix: str, *, inputs: int, blocks: int) -> Iterator[Part]:
        for k in range(inputs):
            yield from self.units(f"{prefix}RCUBlock_{k}/", (*path, "adapt", k), 2)
            if inputs > 1:
                yield from self.stage(f"{prefix}MSFBlock_0/", k, (*path, "fuse", "stages", k), use_bias=True)
        for k in range(2):
            yield from self.stage(f"{prefix}CRPBlock_0/", k, (*path, "pool", "stages", k))
        yield from self.units(f"{prefix}RCUBlock_{inputs}/", (*path, "out"), blocks)

    def units(self, parent: str, path: Path, blocks: int) -> Iterator[Part]:
        for k in range(2 * blocks):
            yield from self.stage(parent, k, (*path, "blocks", k // 2, k % 2))

    def stage(self, parent: str, index: int, path: Path, *, use_bias: bool = False) -> Iterator[Part]:
        if self.conditional:
            yield self.norm(parent, index, (*path, "norm"))
        yield _conv(f"{parent}Conv_{index}", (*path, "conv"), use_bias=use_bias)


def _conv(name: str, path: Path, *, use_bias: bool = True) -> Part:
    return Part(path, name, (KERNEL, BIAS) if use_bias else (KERNEL,))
