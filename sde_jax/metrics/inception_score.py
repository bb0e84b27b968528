"""The Inception Score."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import scipy

from sde_jax.errors import InputError, whole
from sde_jax.metrics.metric import Result
from sde_jax.metrics.outputs import Outputs, checked
from sde_jax.metrics.parts import mean_of
from sde_jax.pytree import in_one_line


@in_one_line
class Predictions(NamedTuple):
    """Sums over the examples of every split: a monoid.

    examples: [splits] int64; negentropy: [splits] float64, sum_x sum_y p(y|x) ln p(y|x); probabilities: [splits, k]
    float64, sum_x p(y|x). k is 0 for none.
    """

    examples: np.ndarray
    negentropy: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class InceptionScore:
    """exp(mean_x KL(p(y|x) || p(y))), p(y) = mean_x p(y|x), the mean over splits (Salimans et al. 2016, section 4).

    p(y|x) is the softmax of the logits; an example belongs to the split index mod `splits`. The standard error is that
    of a mean over splits; the customary deviation between splits is sqrt(splits) times that. The score of n / splits
    examples is too small: `all` among the details is that of all together. Raises `InputError` unless splits >= 1.
    """

    splits: int = 10
    uses_reference: ClassVar[bool] = False

    def __post_init__(self):
        if not whole(self.splits, 1):
            raise InputError(f"{self}: expected splits >= 1")

    def init(self) -> Predictions:
        """Return the sums over no examples."""
        return Predictions(np.zeros(self.splits, np.int64), np.zeros(self.splits), np.zeros((self.splits, 0)))

    def update(self, state: Predictions, outputs: Outputs) -> Predictions:
        """Return the state with the examples of `outputs`. Raises `InputError` for outputs without logits."""
        outputs = checked(outputs)
        if outputs.logits is None:
            raise InputError(f"{self} needs logits, which these features do not have; choose features of a classifier")
        logs = scipy.special.log_softmax(outputs.logits.astype(np.float64), axis=1)
        negentropy, split = np.sum(np.exp(logs) * logs, 1), outputs.index % self.splits
        probabilities = np.stack([np.exp(logs[split == s]).sum(0) for s in range(self.splits)])
        counts = np.bincount(split, minlength=self.splits)
        return self.merge(state, Predictions(counts, np.bincount(split, negentropy, self.splits), probabilities))

    def merge(self, a: Predictions, b: Predictions) -> Predictions:
        """Return the sums of both. Raises `InputError` for other numbers of logits."""
        if not a.probabilities.size or not b.probabilities.size:
            return a if a.probabilities.size else b
        if a.probabilities.shape != b.probabilities.shape:
            raise InputError(
                f"probabilities [splits, k] of {a.probabilities.shape} and {b.probabilities.shape} in one metric;"
                " expected those of one classifier"
            )
        return Predictions(*(here + there for here, there in zip(a, b, strict=True)))

    def result(self, generated: Predictions, reference: Predictions | None = None) -> Result:
        """Return the mean score over the splits that have examples; the reference is not looked at."""
        samples, classes = int(generated.examples.sum()), generated.probabilities.shape[1]
        if samples < 2:
            raise InputError(f"{samples} examples have no Inception Score; expected two or more")
        parts = [part for part in zip(*generated, strict=True) if part[0]]
        mean = mean_of(np.array([_score(*part) for part in parts]))
        details = {"all": float(_score(*(np.sum(sums, 0) for sums in generated)))}
        few = samples < len(parts) * classes
        warning = f"splits of {samples // len(parts)} examples for {classes} classes: the score is too small"
        return Result(mean.value, mean.standard_error, None, samples, None, details, (warning,) if few else ())


def _score(examples: np.ndarray, negentropy: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    marginal = probabilities / examples
    return np.exp(negentropy / examples - np.sum(scipy.special.xlogy(marginal, marginal)))
