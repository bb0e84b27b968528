"""What the official noise-conditional WideResNet is made of, and where ours has it; it is Flax's alone."""

from collections.abc import Iterator

from sde_jax.checkpoints.official_module import Leaf, OfficialModule, Part
from sde_jax.nn.classifiers import WideResNet

KERNEL, BIAS = Leaf("kernel", None, "kernel"), Leaf("bias", None, "bias")
NORM = (Leaf("scale", None, "scale"), BIAS)


def wide_resnet_modules(architecture: WideResNet) -> Iterator[OfficialModule]:
    """Yield the modules of the network."""
    yield OfficialModule("GaussianFourierProjection", (Part(("fourier",), "", (Leaf("W", None, "W"),)),))
    yield OfficialModule("Dense", (Part(("embedding_in",), "", (KERNEL, BIAS)),))
    yield OfficialModule("Dense", (Part(("embedding_out",), "", (KERNEL, BIAS)),))
    yield OfficialModule("init_conv", (Part(("conv_in",), "", (KERNEL,)),), numbered=False)
    for i in range(3):
        blocks = (part for j in range(architecture.blocks_per_group) for part in _block(i, j))
        yield OfficialModule("WideResnetGroup", tuple(blocks))
    yield OfficialModule("pre-pool-bn", (Part(("norm",), "", NORM),), numbered=False)
    yield OfficialModule("Dense", (Part(("out",), "", (KERNEL, BIAS)),))


def _block(i: int, j: int) -> Iterator[Part]:
    path, name = ("groups", i, j), f"WideResnetBlock_{j}"
    yield Part((*path, "norm_in"), f"{name}/init_bn", NORM)
    yield Part((*path, "conv_in"), f"{name}/conv1", (KERNEL,))
    yield Part((*path, "embedding"), f"{name}/Dense_0", (KERNEL, BIAS))
    yield Part((*path, "norm_out"), f"{name}/bn_2", NORM)
    yield Part((*path, "conv_out"), f"{name}/conv2", (KERNEL,))
