import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy, sem

from sde_jax.errors import InputError
from sde_jax.metrics import InceptionScore, Outputs


def result_of(metric, logits):
    n = len(logits)
    return metric.result(metric.update(metric.init(), Outputs(np.zeros((n, 1)), np.asarray(logits), np.arange(n))))


def test_score_is_the_exponential_of_the_mean_divergence_from_the_marginal():
    logits = (3 * np.random.default_rng(0).normal(size=(101, 5))).astype(np.float32)
    p = softmax(logits.astype(np.float64), axis=1)
    scores = [np.exp(np.mean([entropy(row, q.mean(0)) for row in q])) for q in (p[s::4] for s in range(4))]
    result = result_of(InceptionScore(4), logits)
    assert result.value == pytest.approx(np.mean(scores), rel=1e-12)
    assert result.standard_error == pytest.approx(sem(scores), rel=1e-9)
    assert result.details["all"] == pytest.approx(np.exp(np.mean([entropy(row, p.mean(0)) for row in p])), rel=1e-12)
    assert result_of(InceptionScore(1), logits).value == pytest.approx(result.details["all"])
    assert result_of(InceptionScore(1), logits).standard_error is None


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_score_is_1_for_equal_predictions_and_the_number_of_classes_for_certain_and_even_ones(shift):
    assert result_of(InceptionScore(2), shift + np.tile([1.0, 2.0, 3.0], (30, 1))).value == pytest.approx(1)
    certain = shift + 1e3 * np.eye(3)[np.arange(30) // 2 % 3]
    assert result_of(InceptionScore(2), certain).value == pytest.approx(3)


def test_too_few_examples_for_the_classes_are_told_with_the_result():
    result = result_of(InceptionScore(4), np.zeros((3, 5)))
    assert result.warnings == ("splits of 1 examples for 5 classes: the score is too small",)
    assert not result_of(InceptionScore(4), np.zeros((20, 5))).warnings


def test_features_without_logits_have_no_score():
    metric = InceptionScore()
    with pytest.raises(InputError, match="logits"):
        metric.update(metric.init(), Outputs(np.zeros((2, 1)), None, np.arange(2)))


def test_score_is_that_of_torch_fidelity():
    theirs = pytest.importorskip("torch_fidelity.metric_isc")
    torch = pytest.importorskip("torch")
    logits = (2 * np.random.default_rng(0).normal(size=(200, 7))).astype(np.float32)
    ours = result_of(InceptionScore(10), logits)
    # Its splits are runs of examples, ours are classes of their indices.
    runs = np.concatenate([logits[s::10] for s in range(10)])
    scores = theirs.isc_features_to_metric(torch.from_numpy(runs), splits=10, shuffle=False)
    assert ours.value == pytest.approx(scores["inception_score_mean"], rel=1e-6)
    assert ours.standard_error == pytest.approx(scores["inception_score_std"] / 3, rel=1e-6)
