"""The parameters of the official noise-conditional WideResNet (Song et al. 2021, their JAX code) in ours."""

from collections.abc import Iterator

from sde_jax.checkpoints.correspondence import Correspondence, Path
from sde_jax.nn import WideResNet


def wide_resnet_names(architecture: WideResNet) -> Iterator[Correspondence]:
    """Yield the counterpart of every parameter, whose official names are as in WideResnetGroup_0/.../bn_2/bias."""
    yield Correspondence("GaussianFourierProjection_0/W", ("fourier", "W"))
    yield from _layer("Dense_0", ("embedding_in",), "kernel", "bias")
    yield from _layer("Dense_1", ("embedding_out",), "kernel", "bias")
    yield from _layer("init_conv", ("conv_in",), "kernel")
    for i in range(3):
        for j in range(architecture.blocks_per_group):
            theirs, ours = f"WideResnetGroup_{i}/WideResnetBlock_{j}", ("groups", i, j)
            yield from _layer(f"{theirs}/init_bn", (*ours, "norm_in"), "scale", "bias")
            yield from _layer(f"{theirs}/conv1", (*ours, "conv_in"), "kernel")
            yield from _layer(f"{theirs}/Dense_0", (*ours, "embedding"), "kernel", "bias")
            yield from _layer(f"{theirs}/bn_2", (*ours, "norm_out"), "scale", "bias")
            yield from _layer(f"{theirs}/conv2", (*ours, "conv_out"), "kernel")
    yield from _layer("pre-pool-bn", ("norm",), "scale", "bias")
    yield from _layer("Dense_2", ("out",), "kernel", "bias")


def _layer(theirs: str, ours: Path, *parameters: str) -> Iterator[Correspondence]:
    yield from (Correspondence(f"{theirs}/{name}", (*ours, name)) for name in parameters)
