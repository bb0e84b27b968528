"""Random transformations of one example, for grain's `random_map`: (example, generator) -> example."""

from collections.abc import Mapping

import numpy as np


def flip_at_random(example: Mapping[str, np.ndarray], generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Mirror `data` [height, width, channels] left to right with probability 1/2; all else is kept."""
    image = example["data"]
    return {**example, "data": image[:, ::-1] if generator.random() < 0.5 else image}
