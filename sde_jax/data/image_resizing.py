"""Crops about the middle, and resizing without aliasing."""

import numpy as np
from PIL import Image

Filter = Image.Resampling
"""BILINEAR is the triangle 1 - |u|, BICUBIC is Keys' kernel with a = -1/2."""


def cropped(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle `height` by `width` of an image [h, w, channels]; of two middles, the upper and the left."""
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]


def resized(image: np.ndarray, height: int, width: int, kernel: Filter = Filter.BICUBIC) -> np.ndarray:
    """The image [h, w, channels] uint8 at another size, antialiased, rounded to the nearest level.

    Along each axis, of n pixels to m with the factor s = max(n / m, 1), pixel i of the result is the mean of the pixels
    j weighted by k((j + 1/2 - (i + 1/2) n / m) / s), whose weights sum to 1 at the border too. That is what
    `tf.image.resize` does with antialias=True; sums are float32, and only the result is rounded.
    """
    if image.shape[:2] == (height, width):
        return image
    # In Pillow's mode F; in its mode RGB what is between the two axes would be rounded too.
    channels = [
        np.asarray(Image.fromarray(image[..., channel].astype(np.float32)).resize((width, height), kernel))
        for channel in range(image.shape[-1])
    ]
    return np.rint(np.stack(channels, -1)).clip(0, 255).astype(np.uint8)


def squared(image: np.ndarray, size: int) -> np.ndarray:
    """The largest square in the middle of an image, resized to `size` by `size` with Keys' kernel."""
    side = min(image.shape[:2])
    return resized(cropped(image, side, side), size, size)
