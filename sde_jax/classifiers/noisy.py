"""A classifier of noisy examples, trained on the labels of a data set at every noise level of a path."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from sde_jax.data import Splits, passing
from sde_jax.likelihood import Encoding
from sde_jax.nn import Apply, abstract, initialized
from sde_jax.nn.classifiers import ChannelMoments, NoiseClassifier, NoisePerceptron, WideResNet
from sde_jax.objective import log_snr_range, strata
from sde_jax.prediction import Deviation, Label, LogNoise
from sde_jax.sde import GaussianPath
from sde_jax.training.classification import AT_ONCE, Progress, Training, cross_entropy, fit
from sde_jax.typing import Array, Batch, Key, Params, Time

START = 1e-5
LEVELS = 12
SMALLEST_IMAGE = 16
"""Pixels of a side from which convolutions see more than dense layers."""


class Told(NamedTuple):
    """A network (x, c_noise) -> logits, and the number by which it knows the time on a path."""

    network: NoiseClassifier
    label: Label
    sde: GaussianPath

    def log_prob(self, apply: Apply, params: Params, x: Array, t: Time, key: Key | None = None) -> Float[Array, " k"]:
        """Return log p_t(c | x) of every class, for one x."""
        return jax.nn.log_softmax(apply(params, x, jnp.asarray(self.label.at(self.sde, t)), key=key))


def suited(splits: Splits, encoding: Encoding, classes: int, width: int) -> tuple[NoiseClassifier, Label]:
    """Return a network for data, and what it is told of the time.

    Images of 16 x 16 or more, of sides that are multiples of 4: a `WideResNet` of `width` channels at the end (640: of
    the paper), told sigma as there; others: a `NoisePerceptron` of that width, told log(sigma / alpha).
    """
    shape = splits.shape
    if len(shape) != 3 or min(shape[:2]) < SMALLEST_IMAGE or shape[0] % 4 or shape[1] % 4:
        return NoisePerceptron(classes, width), LogNoise(100.0)
    data = np.stack([splits.train[i]["data"] for i in range(min(len(splits.train), 1024))])
    x0 = np.asarray(encoding.draw(jax.random.key(0), data)[0], np.float64)
    mean, deviation = (tuple(of(x0, (0, 1, 2)).tolist()) for of in (np.mean, np.std))
    return WideResNet(classes, widening=max(width // 64, 1), moments=ChannelMoments(mean, deviation)), Deviation()


def noisy(sde: GaussianPath, encoding: Encoding, key: Key, data: Array, t: Float[Array, " n"]) -> Float[Array, "n ..."]:
    """Draw x_t of n examples at times of their own."""
    cell, noise = jax.random.split(key)
    x0, _ = encoding.draw(cell, data)
    return jax.vmap(lambda key, x, t: sde.perturb(key, x, t)[0])(jax.random.split(noise, len(data)), x0, t)


def train(told: Told, encoding: Encoding, splits: Splits, settings: Training, progress: Progress = iter) -> Params:
    """Return the parameters of a classifier of x_t, trained on `splits.train` by the mean cross entropy.

    Times are uniform in log(alpha / sigma), stratified over a batch: on VE, uniform, as in Song et al. 2021 (appendix
    I). The parameters are a function of the arguments. Raises `RunError` where the loss is no longer finite.
    """
    apply, params = initialized(told.network, splits.shape, settings.seed)
    low, high = log_snr_range(told.sde, START)

    def loss(params: Params, key: Key, batch: Batch) -> Float[Array, ""]:
        first, second, third = jax.random.split(key, 3)
        n = len(batch["data"])
        t = jax.vmap(told.sde.time_of)(low + (high - low) * strata(first, n))
        x = noisy(told.sde, encoding, second, batch["data"], t)
        logits = jax.vmap(told.log_prob, (None, None, 0, 0, 0))(apply, params, x, t, jax.random.split(third, n))
        return cross_entropy(logits, batch["label"])

    return fit(loss, params, splits.train, settings, progress)


def accuracy(told: Told, params: Params, encoding: Encoding, splits: Splits, seed: int = 0) -> dict[str, float]:
    """Return the share of `splits.held_out` that the classifier is right about at each of 12 noise levels.

    The levels sigma / alpha, evenly in their logarithm, are the names, as text; where nothing is held out there are
    none. An example without a label counts as wrong.
    """
    apply, _ = abstract(told.network, splits.shape)
    low, high = log_snr_range(told.sde, START)
    log_snr = jnp.linspace(high, low, LEVELS)
    times = jax.vmap(told.sde.time_of)(log_snr)

    @jax.jit
    def right(params: Params, key: Key, batch: Batch) -> Int[Array, "levels n"]:
        def at(level: tuple[Key, Array]) -> Array:
            key, t = level
            t = jnp.full(len(batch["label"]), t)
            x = noisy(told.sde, encoding, key, batch["data"], t)
            log_probs = jax.vmap(told.log_prob, (None, None, 0, 0))(apply, params, x, t)
            return jnp.argmax(log_probs, -1) == batch["label"]

        return jax.lax.map(at, (jax.random.split(key, LEVELS), times))

    found, total = np.zeros(LEVELS), len(splits.held_out)
    if not total:
        return {}
    rows = min(AT_ONCE, total)
    for n, (batch, count) in enumerate(passing(splits.held_out, rows)):
        key = jax.random.fold_in(jax.random.key(seed), n)
        one = right(params, key, {"data": batch["data"], "label": batch["label"]})
        found += np.asarray(one)[:, :count].sum(1)
    levels = (f"{np.exp(-level):.3g}" for level in np.asarray(log_snr))
    return dict(zip(levels, (found / total).tolist(), strict=True))
