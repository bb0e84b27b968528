"""What is done to clean examples while a network is trained, and what the network is told of it."""

from sde_jax.training.augmentation.augmentation import Augmentation as Augmentation
from sde_jax.training.augmentation.augmentation import NoAugmentation as NoAugmentation
from sde_jax.training.augmentation.geometric import Drawn as Drawn
from sde_jax.training.augmentation.geometric import Geometric as Geometric
from sde_jax.training.augmentation.symmetry import Element as Element
from sde_jax.training.augmentation.symmetry import Symmetry as Symmetry
