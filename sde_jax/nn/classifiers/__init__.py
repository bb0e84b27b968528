"""Networks that return logits; they are built and made functional like those that return the shape of x."""

from sde_jax.nn.classifiers.classifier import Classifier as Classifier
from sde_jax.nn.classifiers.classifier import NoiseClassifier as NoiseClassifier
from sde_jax.nn.classifiers.convolutional import Convolutional as Convolutional
from sde_jax.nn.classifiers.noise_perceptron import NoisePerceptron as NoisePerceptron
from sde_jax.nn.classifiers.perceptron import Perceptron as Perceptron
from sde_jax.nn.classifiers.wide_resnet import ChannelMoments as ChannelMoments
from sde_jax.nn.classifiers.wide_resnet import WideResNet as WideResNet
