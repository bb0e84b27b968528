"""The image data of Song et al. (2021), prepared by TensorFlow Datasets, with the crops and sizes of score_sde.

Files are array_record, which open at once, or tfrecord, which are gone through once. Resized images are rounded to 256
levels here, and are real numbers in score_sde: half a level apart at most (LSUN at 256 is cut down to levels there, up
to one apart). JPEG decoders differ more: TensorFlow's and Pillow's by a level on average, a few at most, on noise.
"""

from dataclasses import dataclass

import numpy as np

from sde_jax.data.image_resizing import Filter, cropped, resized, squared
from sde_jax.data.sources import Splits
from sde_jax.data.tfds_folder import TFDSFolder, tfds_root
from sde_jax.errors import InputError, whole


@dataclass(frozen=True)
class CIFAR10:
    """CIFAR-10: 50,000 images 32x32x3 to train on and the 10,000 of `test` held out, labels 0 .. 9.

    path: the folder in which tfds keeps its data sets; by default $TFDS_DATA_DIR, or else ~/tensorflow_datasets. So
    for the others below.

    A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """

    path: str = ""

    def open(self) -> Splits:
        """`train` and `held_out`, read when asked for. Raises InputError as `tfds_folder.TFDSFolder.open` does."""
        return TFDSFolder(tfds_root(self.path), "cifar10").open("test", (32, 32, 3), _unchanged)


@dataclass(frozen=True)
class SVHN:
    """Street View House Numbers, cropped: 73,257 images 32x32x3 and the 26,032 of `test` held out, labels 0 .. 9.

    Y. Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011.
    """

    path: str = ""

    def open(self) -> Splits:
        """`train` and `held_out`, read when asked for. Raises InputError as `tfds_folder.TFDSFolder.open` does."""
        return TFDSFolder(tfds_root(self.path), "svhn_cropped").open("test", (32, 32, 3), _unchanged)


@dataclass(frozen=True)
class CelebA:
    """CelebA, aligned: 162,770 faces and the 19,867 of `validation` held out; no labels.

    The 140 x 140 in the middle of 218 x 178, resized to `size` by `size` with an antialiased triangle.

    Z. Liu et al., Deep Learning Face Attributes in the Wild, 2015.
    """

    path: str = ""
    size: int = 64

    def __post_init__(self):
        _check_size(self.size)

    def open(self) -> Splits:
        """`train` and `held_out`, read when asked for. Raises InputError as `tfds_folder.TFDSFolder.open` does."""
        return TFDSFolder(tfds_root(self.path), "celeb_a").open("validation", (self.size, self.size, 3), self._face)

    def _face(self, image: np.ndarray) -> np.ndarray:
        return resized(cropped(image, 140, 140), self.size, self.size, Filter.BILINEAR)


@dataclass(frozen=True)
class LSUN:
    """One category of LSUN, such as church_outdoor or bedroom, and the 300 of `validation` held out; no labels.

    At `size` 128 the shorter side is resized to it with an antialiased triangle and the middle square taken; at others
    the largest square in the middle is resized with Keys' kernel. So does score_sde. Categories of objects have no
    `validation`.

    F. Yu et al., LSUN: Construction of a Large-Scale Image Dataset, 2015.
    """

    category: str
    path: str = ""
    size: int = 256

    def __post_init__(self):
        _check_size(self.size)
        if not self.category.replace("_", "").replace("-", "").isalnum():
            raise InputError(f"category = {self.category!r}; expected one of LSUN's, such as church_outdoor or bedroom")

    def open(self) -> Splits:
        """`train` and `held_out`, read when asked for. Raises InputError as `tfds_folder.TFDSFolder.open` does."""
        folder = TFDSFolder(tfds_root(self.path), f"lsun/{self.category}", needs="tensorflow tensorflow-io")
        return folder.open("validation", (self.size, self.size, 3), self._scene)

    def _scene(self, image: np.ndarray) -> np.ndarray:
        if self.size != 128:
            return squared(image, self.size)
        height, width = image.shape[:2]
        ratio = self.size / min(height, width)
        small = resized(image, round(height * ratio), round(width * ratio), Filter.BILINEAR)
        return cropped(small, self.size, self.size)


def _unchanged(image: np.ndarray) -> np.ndarray:
    return image


def _check_size(size: int) -> None:
    if not whole(size, 1):
        raise InputError(f"size = {size}; expected a number of pixels, at least 1")
