"""Data: random-access sources of images, arrays and tables, and the stream of shuffled batches that training reads."""

from sde_jax.data.array_file import ArrayFile as ArrayFile
from sde_jax.data.digits import Digits as Digits
from sde_jax.data.fingerprint import fingerprint as fingerprint
from sde_jax.data.images import Images as Images
from sde_jax.data.paper_sets import CIFAR10 as CIFAR10
from sde_jax.data.paper_sets import LSUN as LSUN
from sde_jax.data.paper_sets import SVHN as SVHN
from sde_jax.data.paper_sets import CelebA as CelebA
from sde_jax.data.pipeline import batches as batches
from sde_jax.data.pipeline import examples_of as examples_of
from sde_jax.data.pipeline import in_order as in_order
from sde_jax.data.preparation import prepare as prepare
from sde_jax.data.prepared import Prepared as Prepared
from sde_jax.data.scaling import Scaling as Scaling
from sde_jax.data.sources import Arrays as Arrays
from sde_jax.data.sources import Dataset as Dataset
from sde_jax.data.sources import Source as Source
from sde_jax.data.sources import Splits as Splits
from sde_jax.data.table import Table as Table
from sde_jax.data.tfrecord_images import TFRecordImages as TFRecordImages
from sde_jax.data.toys import Checkerboard as Checkerboard
from sde_jax.data.toys import GaussianRing as GaussianRing
from sde_jax.data.toys import Moons as Moons
from sde_jax.data.toys import Rings as Rings
from sde_jax.data.toys import Spirals as Spirals
from sde_jax.data.toys import SwissRoll as SwissRoll
