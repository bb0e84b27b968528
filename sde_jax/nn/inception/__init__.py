"""Inception-v3, the network that FID is defined by."""

from sde_jax.nn.inception.network import SIZE as SIZE
from sde_jax.nn.inception.network import InceptionV3 as InceptionV3
