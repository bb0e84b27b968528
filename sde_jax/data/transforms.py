"""Random transformations of one example, for grain's `random_map`: (example, generator) -> example."""

from collections.abc import Mapping

import numpy as np


def crop_at_random(
    example: Mapping[str, np.ndarray], generator: np.random.Generator, margin: int
) -> dict[str, np.ndarray]:
    """Cut a window of the size of `data` [height, width, channels], at random, out of it and `margin` pixels around.

    Beyond its edge an image is mirrored at the middle of the edge's pixels.
    """
    image = example["data"]
    down, right = generator.integers(0, 2 * margin + 1, 2)
    wide = np.pad(image, ((margin, margin), (margin, margin), (0, 0)), mode="reflect")
    return {**example, "data": wide[down : down + image.shape[0], right : right + image.shape[1]]}


def flip_at_random(example: Mapping[str, np.ndarray], generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Mirror `data` [height, width, channels] left to right with probability 1/2; all else is kept."""
    image = example["data"]
    return {**example, "data": image[:, ::-1] if generator.random() < 0.5 else image}
