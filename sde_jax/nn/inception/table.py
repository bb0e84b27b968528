"""Inception-v3 as FID and the Inception Score know it: the graph of 5 December 2015, block by block.

It is not the network of Szegedy et al. 2016 to the letter, nor that of later libraries: a mean over 3 x 3 pixels is one
of the pixels that there are, the last block takes their maximum instead, and there are 1,008 logits. Names are those
of the PyTorch ports, in whose files the weights are had.
"""

from sde_jax.nn.inception.layers import Chain, Conv, Fork, Pool, every_second, maxima, means


def _a(name: str, pooled: int) -> Fork:
    return Fork(
        name,
        (
            (Conv("branch1x1", 64),),
            (Conv("branch5x5_1", 48), Conv("branch5x5_2", 64, 5, 5)),
            (Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, 3, 3), Conv("branch3x3dbl_3", 96, 3, 3)),
            (means, Conv("branch_pool", pooled)),
        ),
    )


def _b(name: str) -> Fork:
    double = (Conv("branch3x3dbl_1", 64), Conv("branch3x3dbl_2", 96, 3, 3))
    return Fork(
        name,
        (
            (Conv("branch3x3", 384, 3, 3, stride=2, inside=True),),
            (*double, Conv("branch3x3dbl_3", 96, 3, 3, stride=2, inside=True)),
            (every_second,),
        ),
    )


def _c(name: str, inner: int) -> Fork:
    once = (Conv("branch7x7_1", inner), Conv("branch7x7_2", inner, 1, 7), Conv("branch7x7_3", 192, 7, 1))
    twice = (
        Conv("branch7x7dbl_1", inner),
        Conv("branch7x7dbl_2", inner, 7, 1),
        Conv("branch7x7dbl_3", inner, 1, 7),
        Conv("branch7x7dbl_4", inner, 7, 1),
        Conv("branch7x7dbl_5", 192, 1, 7),
    )
    return Fork(name, ((Conv("branch1x1", 192),), once, twice, (means, Conv("branch_pool", 192))))


def _d(name: str) -> Fork:
    wide = (Conv("branch7x7x3_1", 192), Conv("branch7x7x3_2", 192, 1, 7), Conv("branch7x7x3_3", 192, 7, 1))
    return Fork(
        name,
        (
            (Conv("branch3x3_1", 192), Conv("branch3x3_2", 320, 3, 3, stride=2, inside=True)),
            (*wide, Conv("branch7x7x3_4", 192, 3, 3, stride=2, inside=True)),
            (every_second,),
        ),
    )


def _e(name: str, pool: Pool) -> Fork:
    def halves(stem: str) -> Fork:
        return Fork("", ((Conv(f"{stem}a", 384, 1, 3),), (Conv(f"{stem}b", 384, 3, 1),)))

    return Fork(
        name,
        (
            (Conv("branch1x1", 320),),
            (Conv("branch3x3_1", 384), halves("branch3x3_2")),
            (Conv("branch3x3dbl_1", 448), Conv("branch3x3dbl_2", 384, 3, 3), halves("branch3x3dbl_3")),
            (pool, Conv("branch_pool", 192)),
        ),
    )


NETWORK: Chain = (
    Conv("Conv2d_1a_3x3", 32, 3, 3, stride=2, inside=True),
    Conv("Conv2d_2a_3x3", 32, 3, 3, inside=True),
    Conv("Conv2d_2b_3x3", 64, 3, 3),
    every_second,
    Conv("Conv2d_3b_1x1", 80),
    Conv("Conv2d_4a_3x3", 192, 3, 3, inside=True),
    every_second,
    _a("Mixed_5b.", 32),
    _a("Mixed_5c.", 64),
    _a("Mixed_5d.", 64),
    _b("Mixed_6a."),
    _c("Mixed_6b.", 128),
    _c("Mixed_6c.", 160),
    _c("Mixed_6d.", 160),
    _c("Mixed_6e.", 192),
    _d("Mixed_7a."),
    _e("Mixed_7b.", means),
    _e("Mixed_7c.", maxima),
)
"""From an image [299, 299, 3] to [8, 8, 2048], whose mean over the pixels are the features."""

CLASSES = 1008
"""Logits, which are linear in the features."""
