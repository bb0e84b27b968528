"""Classifiers of noisy examples, by which samples are guided: their training, and the directories that hold them."""

from sde_jax.classifiers.noisy import Told as Told
from sde_jax.classifiers.noisy import accuracy as accuracy
from sde_jax.classifiers.noisy import suited as suited
from sde_jax.classifiers.noisy import train as train
from sde_jax.classifiers.stored import KIND as KIND
from sde_jax.classifiers.stored import NoisyClassification as NoisyClassification
from sde_jax.classifiers.stored import NoisyClassifier as NoisyClassifier
