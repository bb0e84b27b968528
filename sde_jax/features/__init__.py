"""Features of examples: Inception-v3 with weights of the user's, a classifier trained on the data in use, any function.

A configuration names them by their classes, those of this package.
"""

from sde_jax.features.component import Features as Features
from sde_jax.features.function import Function as Function
from sde_jax.features.inception import Inception as Inception
from sde_jax.features.reader import Reader as Reader
from sde_jax.features.resize import PillowBicubic as PillowBicubic
from sde_jax.features.resize import Resize as Resize
from sde_jax.features.resize import TF1Bilinear as TF1Bilinear
from sde_jax.features.trained import Trained as Trained
from sde_jax.metrics import Raw as Raw
