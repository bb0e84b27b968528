"""Trained models as directories that anyone can load: weights, what they belong to, and a card."""

from sde_jax.publishing.card import Card as Card
from sde_jax.publishing.directory import FILES as FILES
from sde_jax.publishing.directory import load as load
from sde_jax.publishing.directory import save as save
from sde_jax.publishing.hub import pull as pull
from sde_jax.publishing.hub import push as push
