"""Which arrays of EDM's networks are which of ours (Karras et al. 2022, the networks that they took from Song et al.).

Names of ours are those of `flatten`, with slashes; EDM's have dots, and R x R for the level of R x R pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Rule:
    """How an array of ours is made of EDM's, and the shapes of those by its own."""

    ours: Callable[..., np.ndarray]
    theirs: Callable[[Shape], tuple[Shape, ...]]


class Row(NamedTuple):
    """An array of ours, those of EDM's that it is made of, and how."""

    ours: str
    theirs: tuple[str, ...]
    rule: Rule


def table(levels: int, blocks: int, size: int) -> Iterator[Row]:
    """Yield the rows of a network with so many levels and blocks a level, for images of size x size pixels.

    Of what only some networks have, such as skips, attention and pyramids, all is listed.
    """
    at = [f"{size >> level}x{size >> level}" for level in range(levels)]
    yield Row("noise_features/W", ("map_noise.freqs",), _SAME)
    yield Row("conditioning/table", ("map_label.weight", "map_label.bias"), _CLASSES)
    yield from _within("embedding_in", "map_layer0", _DENSE)
    yield from _within("embedding_out", "map_layer1", _DENSE)
    yield from _within("conv_in", f"enc.{at[0]}_conv", _CONV)
    for i in range(levels):
        for j in range(blocks):
            yield from _within(f"encoder/{i}/layers/{j}", f"enc.{at[i]}_block{j}", _LAYER)
        if i < levels - 1:
            yield from _within(f"encoder/{i}/resample", f"enc.{at[i + 1]}_down", _BLOCK)
            yield from _within(f"encoder/{i}/pyramid/conv", f"enc.{at[i + 1]}_aux_skip", _CONV)
            yield from _within(f"encoder/{i}/pyramid/layer", f"enc.{at[i + 1]}_aux_residual", _CONV)
    for j in range(2):
        yield from _within(f"middle/{j}", f"dec.{at[-1]}_in{j}", _LAYER)
    for i, here in enumerate(reversed(at)):
        for j in range(blocks + 1):
            yield from _within(f"decoder/{i}/layers/{j}", f"dec.{here}_block{j}", _LAYER)
        yield from _to_image(f"decoder/{i}/pyramid/layer", here)
        if i < levels - 1:
            yield from _within(f"decoder/{i}/resample", f"dec.{at[-2 - i]}_up", _BLOCK)
    yield from _to_image("finish", at[0])


def _to_image(ours: str, at: str) -> Iterator[Row]:
    yield from _within(f"{ours}/norm", f"dec.{at}_aux_norm", _NORM)
    yield from _within(f"{ours}/conv", f"dec.{at}_aux_conv", _CONV)


def _within(ours: str, theirs: str, rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(Row(f"{ours}/{row.ours}", tuple(f"{theirs}.{name}" for name in row.theirs), row.rule) for row in rows)


def _weight_and_bias(kernel: Rule) -> tuple[Row, ...]:
    return Row("kernel", ("weight",), kernel), Row("bias", ("bias",), _SAME)


def _part_of_three(j: int) -> tuple[Row, ...]:
    """Return the rows of query, key or value: every third channel of their common convolution, from the j-th."""
    return (
        Row("kernel", ("weight",), Rule(lambda w: w[j::3, :, 0, 0].T, lambda s: ((3 * s[1], s[0], 1, 1),))),
        Row("bias", ("bias",), Rule(lambda b: b[j::3], lambda s: ((3 * s[0],),))),
    )


def _classes(weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the vectors of the classes, which enter as one sqrt(classes) among zeros, and of none: zeros alone."""
    return np.concatenate([sqrt(weight.shape[1]) * weight.T + bias, bias[None]])


_SAME = Rule(lambda a: a, lambda s: (s,))
_CLASSES = Rule(_classes, lambda s: ((s[1], s[0] - 1), (s[1],)))
_DENSE = _weight_and_bias(Rule(lambda w: w.T, lambda s: (s[::-1],)))
_PIXELWISE = _weight_and_bias(Rule(lambda w: w[:, :, 0, 0].T, lambda s: ((s[1], s[0], 1, 1),)))
_CONV = _weight_and_bias(Rule(lambda w: w.transpose(2, 3, 1, 0), lambda s: ((s[3], s[2], s[0], s[1]),)))
_NORM = (Row("scale", ("weight",), _SAME), Row("bias", ("bias",), _SAME))
_BLOCK = (
    *_within("norm_in", "norm0", _NORM),
    *_within("conv_in", "conv0", _CONV),
    *_within("embedding", "affine", _DENSE),
    *_within("norm_out", "norm1", _NORM),
    *_within("conv_out", "conv1", _CONV),
    *_within("skip", "skip", _CONV),
)
_ATTENTION = (
    *_within("norm", "norm2", _NORM),
    *_within("query", "qkv", _part_of_three(0)),
    *_within("key", "qkv", _part_of_three(1)),
    *_within("value", "qkv", _part_of_three(2)),
    *_within("out", "proj", _PIXELWISE),
)
_LAYER = tuple(
    Row(f"{part}/{row.ours}", row.theirs, row.rule)
    for part, rows in (("block", _BLOCK), ("attention", _ATTENTION))
    for row in rows
)
