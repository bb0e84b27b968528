"""A picture of some examples of a data set."""

import numpy as np
from PIL import Image

from sde_jax.commands.pictures import as_bytes
from sde_jax.data import Splits
from sde_jax.experiment import Experiment
from sde_jax.model import Record
from sde_jax.report import image_grid
from sde_jax.report.examples import histogram_picture, scatter_picture

_IMAGES = 64


def picture(splits: Splits, data: np.ndarray, labels: np.ndarray) -> Image.Image:
    """Return a grid of images, points in the plane, or histograms of numbers, of examples [n, ...] with labels [n].

    Examples are chosen at random, always the same ones.
    """
    order = np.random.RandomState(0).permutation(len(data))
    if splits.levels is not None and len(splits.shape) == 3 and splits.shape[-1] in (1, 3):
        return image_grid(as_bytes(data[np.sort(order[:_IMAGES])], Record(Experiment(), splits.shape, splits.levels)))
    if splits.shape == (2,):
        return scatter_picture(data[order], labels[order], splits.classes)
    return histogram_picture(data.reshape(len(data), -1))
