import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sde_jax import nn
from sde_jax.classifiers import KIND, NoisyClassification, NoisyClassifier, Told, accuracy, suited, train
from sde_jax.data import Arrays, Scaling, Splits
from sde_jax.errors import InputError
from sde_jax.likelihood import Quantization
from sde_jax.nn.classifiers import NoisePerceptron, WideResNet
from sde_jax.prediction import Deviation, LogNoise
from sde_jax.sde import VP, Cosine
from sde_jax.training.classification import Training

M, SDE = 1.5, VP()
TOLD = Told(NoisePerceptron(2, width=32, depth=1, dropout=0.0), LogNoise(), SDE)


def two_gaussians(count: int, seed: int) -> Arrays:
    """N(+-m, 1), as often one as the other."""
    draws = np.random.default_rng(seed)
    labels = draws.integers(0, 2, count)
    return Arrays((M * (2 * labels - 1) + draws.normal(size=count)).astype(np.float32)[:, None], labels)


LINE = Splits(two_gaussians(4000, 0), two_gaussians(4000, 1), (1,), None)


@pytest.fixture(scope="module")
def trained():
    return train(TOLD, Scaling(), LINE, Training(steps=600, batch_size=256, learning_rate=1e-2))


def test_the_probability_of_a_class_is_that_of_bayes_rule_at_every_time(trained):
    apply, _ = nn.abstract(TOLD.network, (1,))
    learnt = jax.jit(lambda x, t: jnp.exp(TOLD.log_prob(apply, trained, x, t)))
    for t in (0.05, 0.3, 0.6):
        slope = 2 * SDE.alpha(t) * M / (SDE.alpha(t) ** 2 + SDE.variance(t))
        for x in (-0.5, 0.0, 0.5):
            exact = jax.nn.sigmoid(slope * x)
            np.testing.assert_allclose(learnt(jnp.array([x]), t), [1 - exact, exact], atol=0.1)


def test_the_accuracy_at_every_noise_level_is_as_high_as_can_be(trained):
    found = accuracy(TOLD, trained, Scaling(), LINE)
    assert len(found) == 12
    for level, share in found.items():
        t = SDE.time_of(-jnp.log(float(level)))
        best = jax.scipy.stats.norm.cdf(SDE.alpha(t) * M / jnp.sqrt(SDE.alpha(t) ** 2 + SDE.variance(t)))
        assert share == pytest.approx(float(best), abs=0.025)
    nothing = Arrays(np.zeros((0, 1), np.float32))
    assert accuracy(TOLD, trained, Scaling(), Splits(LINE.train, nothing, (1,), None)) == {}


def test_a_classifier_is_a_function_of_the_seed_also_where_alpha_is_zero_in_the_end():
    told = TOLD._replace(sde=Cosine())
    one, same, other = (train(told, Scaling(), LINE, Training(steps=3, seed=seed)) for seed in (1, 1, 2))
    assert jax.tree.all(jax.tree.map(np.array_equal, one, same))
    assert not jax.tree.all(jax.tree.map(np.array_equal, one, other))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(one))


def test_images_have_a_wide_residual_network_that_knows_their_moments_and_others_dense_layers():
    image = Arrays(np.full((6, 16, 20, 2), 3, np.uint8) * np.arange(2, dtype=np.uint8), [0, 1] * 3)
    network, label = suited(Splits(image, image, (16, 20, 2), 4), Quantization(4), 7, 640)
    assert isinstance(network, WideResNet)
    assert (network.classes, network.widening, label) == (7, 10, Deviation())
    np.testing.assert_allclose(network.moments.mean, [-0.75, 0.75], atol=0.05)
    for shape in ((8, 8, 1), (18, 16, 1), (5,)):
        assert suited(Splits(image, image, shape, 4), Quantization(4), 7, 64)[0] == NoisePerceptron(7, 64)


ABOUT = NoisyClassification(*TOLD, (1,), Scaling((1.0,), (2.0,)), "0123", held_out_accuracy={"0.1": 0.75})


def test_a_directory_gives_back_what_was_saved_and_its_log_probabilities(tmp_path):
    apply, params = nn.initialized(TOLD.network, (1,), 0)
    params = jax.tree.map(lambda a: a + 0.1, params)
    KIND.save(tmp_path, ABOUT, params)
    found = NoisyClassifier.open(tmp_path)
    assert found.about == ABOUT
    x, t = jnp.array([0.4]), 0.3
    expected = jax.nn.log_softmax(apply(params, x, LogNoise().at(SDE, t)))[1]
    np.testing.assert_allclose(found.log_prob(x, t, 1), expected, rtol=1e-6)
    assert len(jax.tree.leaves(found.log_prob)) == len(jax.tree.leaves(params))
    found.require_fit(sde=SDE, shape=(1,))
    with pytest.raises(InputError, match=r"shape = \(1,\), not \(2,\).*sde-jax train-classifier"):
        found.require_fit(sde=SDE, shape=(2,))


def test_a_classifier_of_clean_examples_is_refused(tmp_path):
    _, params = nn.initialized(TOLD.network, (1,), 0)
    facts = KIND.save(tmp_path, ABOUT, params)
    (tmp_path / "noise_classifier.json").write_text(json.dumps({**facts, "classifier": {"type": "Perceptron"}}))
    with pytest.raises(InputError, match="no such NoiseClassifier"):
        NoisyClassifier.open(tmp_path)
    with pytest.raises(InputError, match="sde-jax train-classifier --output"):
        NoisyClassifier.open(tmp_path / "nothing")
