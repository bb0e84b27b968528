"""What all metrics promise, held against every one of them."""

import io
import json
from functools import reduce

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sde_jax import metrics
from sde_jax.codec import components, decode, encode
from sde_jax.errors import InputError
from sde_jax.metrics import Outputs

SUMS = [metrics.Frechet(3), metrics.InceptionScore(2)]
KEPT = [
    metrics.Kernel(subsets=3, size=4),
    metrics.Kernel(limit=9),
    metrics.PrecisionRecall(k=2),
    metrics.DensityCoverage(k=2),
    metrics.SlicedWasserstein(directions=4),
    metrics.Energy(),
    metrics.Memorisation(),
]
ALL = pytest.mark.parametrize("metric", SUMS + KEPT, ids=str)
N = 14


def outputs(seed, n=N, d=2, k=3):
    random = np.random.default_rng(seed)
    features = random.normal(size=(n, d)).astype(np.float32)
    return Outputs(features, random.normal(size=(n, k)).astype(np.float32), 7 * np.arange(n) - 20)


def rows(given, which):
    return Outputs(given.features[which], given.logits[which], given.index[which])


def state_of(metric, *batches):
    return reduce(metric.update, batches, metric.init())


def numbers(result):
    return [result.value, result.standard_error or 0.0, *result.details.values()]


@st.composite
def divisions(draw):
    """The examples in any order, cut into batches of any size, 0 as well, and which neighbours are merged in turn."""
    order = draw(st.permutations(range(N)))
    cuts = sorted(draw(st.lists(st.integers(0, N), max_size=4)))
    merges = [draw(st.integers(0, left - 1)) for left in range(len(cuts), 0, -1)]
    return [np.array(part, int) for part in np.split(np.array(order), cuts)], merges


@ALL
@settings(max_examples=15, deadline=None)
@given(divisions())
def test_neither_order_nor_batches_nor_the_tree_of_merges_change_a_result(metric, division):
    parts, merges = division
    examples, reference = outputs(0), state_of(metric, outputs(1))
    states = [state_of(metric, rows(examples, part)) for part in parts]
    for i in merges:
        states[i : i + 2] = [metric.merge(*states[i : i + 2])]
    (merged,) = states
    streamed = state_of(metric, *(rows(examples, part) for part in parts))
    whole = metric.result(state_of(metric, examples), reference)
    for state in (merged, streamed):
        result = metric.result(state, reference)
        assert (result.samples, result.reference_samples) == (whole.samples, whole.reference_samples)
        if metric in KEPT:
            assert result == whole
        np.testing.assert_allclose(numbers(result), numbers(whole), rtol=1e-9, atol=1e-12)


@ALL
def test_the_state_of_no_examples_is_the_unit_of_merge_to_the_bit(metric):
    state = state_of(metric, outputs(0))
    for same in (metric.merge(metric.init(), state), metric.merge(state, metric.init())):
        jax.tree.map(np.testing.assert_array_equal, same, state)
    jax.tree.map(np.testing.assert_array_equal, metric.merge(metric.init(), metric.init()), metric.init())


@ALL
def test_a_state_is_a_tree_of_arrays_of_one_structure_and_survives_a_file(metric):
    state, file = state_of(metric, outputs(0)), io.BytesIO()
    leaves, structure = jax.tree.flatten(state)
    assert structure == jax.tree.structure(metric.init())
    assert all(isinstance(leaf, np.ndarray) for leaf in leaves)
    np.savez(file, *leaves)
    file.seek(0)
    read = jax.tree.unflatten(structure, list(np.load(file, allow_pickle=False).values()))
    more, reference = outputs(2, n=3), state_of(metric, outputs(1))
    more = Outputs(more.features, more.logits, more.index + 1000)
    again, once = (metric.result(metric.update(s, more), reference) for s in (read, state))
    assert again == once


@ALL
def test_a_metric_is_a_component(metric):
    assert type(metric).__name__ in components(metrics.Metric)
    assert decode(metrics.Metric, encode(metric)) == (metric, [])
    result = metric.result(state_of(metric, outputs(0)), state_of(metric, outputs(1)))
    assert decode(metrics.Result, json.loads(json.dumps(encode(result), allow_nan=False))) == (result, [])


def test_no_metric_is_left_out_here():
    assert {type(metric) for metric in SUMS + KEPT} == set(components(metrics.Metric).values())


@ALL
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o: Outputs(np.full_like(o.features, np.nan), o.logits, o.index), "features of 14 .* finite"),
        (lambda o: Outputs(o.features, o.logits * np.inf, o.index), "logits of 14 .* finite"),
        (lambda o: Outputs(o.features[:, :, None], o.logits, o.index), r"features .*\(14, 2, 1\)"),
        (lambda o: Outputs(o.features[:, :0], o.logits, o.index), r"features .*\(14, 0\)"),
        (lambda o: Outputs(o.features, o.logits[:3], o.index), r"logits .*\(3, 3\).*\[14, d\]"),
        (lambda o: Outputs(o.features, o.logits, o.index[:3]), r"features .*\[3, d\]"),
        (lambda o: Outputs(o.features, o.logits, o.index * 0.5), "index is float64"),
    ],
)
def test_outputs_that_are_no_finite_rows_are_refused(metric, change, message):
    with pytest.raises(InputError, match=message):
        metric.update(metric.init(), change(outputs(0)))


@ALL
def test_too_few_examples_a_missing_reference_and_one_of_other_features_are_refused(metric):
    state, one = state_of(metric, outputs(0)), state_of(metric, outputs(0, n=1))
    for few in (one, metric.init()):
        with pytest.raises(InputError, match="examples"):
            metric.result(few, state)
        if metric.uses_reference:
            with pytest.raises(InputError, match="examples"):
                metric.result(state, few)
    with pytest.raises(InputError, match=r"of one (extractor|classifier)"):
        metric.update(state, Outputs(*(np.ones((2, 5)),) * 2, np.arange(2) + 1000))
    if not metric.uses_reference:
        assert metric.result(state, None) == metric.result(state, state)
        return
    with pytest.raises(InputError, match="none was given"):
        metric.result(state, None)
    with pytest.raises(InputError, match="2 features, the reference 5"):
        metric.result(state, state_of(metric, outputs(1, d=5)))


@pytest.mark.parametrize("metric", KEPT, ids=str)
def test_an_example_that_comes_twice_is_refused(metric):
    state = state_of(metric, outputs(0))
    with pytest.raises(InputError, match=r"example -\d+ was counted twice"):
        metric.merge(state, state)
    with pytest.raises(InputError, match="twice"):
        state_of(metric, rows(outputs(0), [3, 3]))


@pytest.mark.parametrize(
    ("cls", "wrong"),
    [
        (metrics.Frechet, {"blocks": 0}),
        (metrics.InceptionScore, {"splits": 0}),
        (metrics.Kernel, {"subsets": 0}),
        (metrics.Kernel, {"size": 1}),
        (metrics.Kernel, {"seed": -1}),
        (metrics.Kernel, {"limit": 1}),
        (metrics.PrecisionRecall, {"k": 0}),
        (metrics.DensityCoverage, {"k": 2.5}),
        (metrics.SlicedWasserstein, {"directions": 0}),
        (metrics.SlicedWasserstein, {"order": 3}),
        (metrics.SlicedWasserstein, {"seed": 2**32}),
        (metrics.Memorisation, {"threshold": 0.0}),
        (metrics.Memorisation, {"limit": 0}),
        (metrics.Energy, {"limit": True}),
    ],
)
def test_settings_out_of_range_are_refused(cls, wrong):
    with pytest.raises(InputError, match=f"{cls.__name__}.*{next(iter(wrong))}"):
        cls(**wrong)


def test_a_limit_keeps_the_same_random_examples_whatever_comes_first():
    n, limit = 4000, 1000
    everything = Outputs(np.arange(n, dtype=np.float32).reshape(n, 1), None, np.arange(n))
    metric = metrics.Energy(limit=limit)
    kept = state_of(metric, everything)
    halves = [
        Outputs(everything.features[part], None, everything.index[part]) for part in np.split(np.arange(n)[::-1], 2)
    ]
    jax.tree.map(np.testing.assert_array_equal, state_of(metric, *halves), kept)
    assert kept.seen == n
    assert len(kept.indices) == limit
    np.testing.assert_array_equal(kept.features[:, 0], kept.indices)
    # Evenly spread, and without a pattern: runs and parities are those of a random subset.
    counts = np.histogram(kept.indices, 10, (0, n))[0]
    np.testing.assert_allclose(counts, limit / 10, atol=4 * np.sqrt(limit / 10))
    for modulus in (2, 3, 8):
        shares = np.bincount(kept.indices % modulus, minlength=modulus) / limit
        np.testing.assert_allclose(shares, 1 / modulus, atol=4 * np.sqrt(1 / modulus / limit))
    result = metric.result(kept, state_of(metrics.Energy(), everything))
    assert (result.samples, result.reference_samples) == (limit, n)
    assert result.warnings == ("1000 of 4000 generated examples were used: a random subset, see limit",)


WRONG = np.where(np.arange(12).reshape(6, 2) < 3, [np.nan, np.inf], 1.0)
RIGHT = np.arange(12.0).reshape(6, 2)
GAUSSIAN = metrics.Gaussian(np.zeros(2), np.eye(2), 9)


@pytest.mark.parametrize(
    ("call", "how_many"),
    [
        (lambda: metrics.energy(WRONG, RIGHT), "3 of 12"),
        (lambda: metrics.energy(RIGHT, WRONG), "3 of 12"),
        (lambda: metrics.kernel_distance(RIGHT, WRONG), "3 of 12"),
        (lambda: metrics.wasserstein(WRONG, RIGHT, 2), "3 of 12"),
        (lambda: metrics.data_copying(WRONG[:, 0], RIGHT[:, 0]), "2 of 6"),
        (lambda: metrics.gaussian(metrics.moments(WRONG[:, :1])), "1 of 1"),
        (lambda: metrics.mean_over_examples(metrics.moments(WRONG[:, :1])), "1 of 1"),
        (lambda: metrics.frechet_distance(GAUSSIAN, GAUSSIAN._replace(covariance=np.full((2, 2), np.nan))), "4 of 4"),
        (lambda: metrics.frechet_distance(GAUSSIAN._replace(mean=WRONG[0]), GAUSSIAN), "2 of 2"),
        (lambda: metrics.Frechet(1).result((metrics.moments(RIGHT),), GAUSSIAN._replace(mean=WRONG[0])), "2 of 2"),
    ],
)
def test_what_is_not_finite_is_refused_and_counted_by_functions_of_arrays_too(call, how_many):
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match=f"{how_many} numbers are NaN or infinite"):
        call()


@pytest.mark.parametrize("metric", KEPT, ids=str)
def test_a_reference_that_is_not_finite_is_refused(metric):
    good = metric.update(metric.init(), outputs(0))
    wrong = good._replace(features=np.where(good.features == good.features.max(), np.nan, good.features))
    for pair in ((good, wrong), (wrong, good)):
        with pytest.raises(InputError, match=r"1 of (28|18) numbers are NaN"):
            metric.result(*pair)
