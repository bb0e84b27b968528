"""Data: random-access sources of uint8 images, and the stream of shuffled batches that training reads."""

from sde_jax.data.digits import Digits as Digits
from sde_jax.data.images import Images as Images
from sde_jax.data.pipeline import batches as batches
from sde_jax.data.pipeline import examples_of as examples_of
from sde_jax.data.pipeline import in_order as in_order
from sde_jax.data.sources import Arrays as Arrays
from sde_jax.data.sources import Dataset as Dataset
from sde_jax.data.sources import Source as Source
from sde_jax.data.sources import Splits as Splits
