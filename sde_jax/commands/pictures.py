"""Pictures of examples."""

import numpy as np
from PIL import Image

from sde_jax.model import Record
from sde_jax.report import image_grid


def picture(record: Record, examples: np.ndarray) -> Image.Image | None:
    """Return a grid of examples [n, ...] in the data's own units, None where they are no images."""
    return image_grid(as_bytes(examples, record)) if record.is_image else None


def as_bytes(levels: np.ndarray, record: Record) -> np.ndarray:
    """Return the grey levels of images as 0 ... 255, uint8, for the eye."""
    return np.round(levels.astype(np.float32) * (255 / ((record.levels or 256) - 1))).astype(np.uint8)


def pixels(picture: Image.Image) -> np.ndarray:
    """Return a picture as uint8 [height, width, channels]."""
    values = np.asarray(picture)
    return values[..., None] if values.ndim == 2 else values
