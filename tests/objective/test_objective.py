import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.experiment import Experiment
from sde_jax.nn import MLP, Channels, ClassLabel, Conditions, Vector
from sde_jax.objective import HalfSum, Mean, Objective, OptimalTransport, TableTimes, matching_error
from sde_jax.prediction import TableLabel

STEPS = 25
X0, EPS = np.array([[0.3, -0.7], [0.9, 0.1]]), np.array([[1.2, -0.4], [0.2, 0.5]])
OUTPUT = np.array([[0.1, -0.2], [0.5, 0.6]])


@pytest.mark.parametrize("sde", [sj.sde.DDPM(steps=STEPS), sj.sde.SMLD(steps=STEPS)], ids=str)
def test_the_times_of_a_table_are_its_rows_all_equally_often(sde):
    rows = np.asarray(sde.time(jnp.arange(STEPS)))
    stratified = TableTimes().draw(jax.random.key(0), 3 * STEPS, sde)
    np.testing.assert_allclose(stratified, np.repeat(rows, 3))
    independent = TableTimes(stratified=False).draw(jax.random.key(0), 400 * STEPS, sde)
    drawn, counts = np.unique(np.asarray(independent), return_counts=True)
    np.testing.assert_allclose(drawn, rows)
    assert np.all(np.abs(counts - 400) < 4 * np.sqrt(400))
    np.testing.assert_allclose(TableTimes().quantile(sde, jnp.ones(())), 1.0)


def error_and_sight(sde, parameterization, t, reduction):
    """The error of a network that returns `OUTPUT`, its input and its label."""
    seen = []

    def network(x, label):
        seen.extend([x, label])
        return OUTPUT

    denoise = sj.denoiser(network, sde, parameterization)
    return matching_error(sde, denoise, X0, EPS, t, sj.Simple(), reduction), *seen


@pytest.mark.parametrize(("reduction", "reduce"), [(Mean(), np.mean), (HalfSum(), lambda squares: squares.sum() / 2)])
def test_simple_weights_on_the_table_of_ddpm_are_its_loss(reduction, reduce):
    sde = sj.sde.DDPM(steps=STEPS)
    betas = np.linspace(0.1 / STEPS, 20 / STEPS, STEPS)
    for label, abar in enumerate(np.cumprod(1 - betas)):
        loss, x, told = error_and_sight(sde, sj.Epsilon(TableLabel()), sde.time(label), reduction)
        np.testing.assert_allclose(x, np.sqrt(abar) * X0 + np.sqrt(1 - abar) * EPS, rtol=1e-9)
        np.testing.assert_allclose(told, label, atol=1e-12)
        np.testing.assert_allclose(loss, reduce((OUTPUT - EPS) ** 2), rtol=1e-8)


@pytest.mark.parametrize(("reduction", "reduce"), [(Mean(), np.mean), (HalfSum(), lambda squares: squares.sum() / 2)])
def test_simple_weights_on_the_table_of_smld_are_its_loss(reduction, reduce):
    sde = sj.sde.SMLD(0.1, 7.0, steps=STEPS)
    for label, sigma in enumerate(np.geomspace(7.0, 0.1, STEPS)):  # the official order: 0 is the largest
        loss, x, told = error_and_sight(sde, sj.ScoreFunction(TableLabel()), sde.time(STEPS - 1 - label), reduction)
        np.testing.assert_allclose(x, X0 + sigma * EPS, rtol=1e-9)
        assert told == label
        assert jnp.issubdtype(told.dtype, jnp.integer)
        np.testing.assert_allclose(loss, reduce((OUTPUT + sigma * EPS / sigma**2) ** 2) * sigma**2, rtol=1e-8)


def test_a_weight_for_every_number_weighs_before_the_reduction():
    @dataclasses.dataclass(frozen=True)
    class Own:
        def weight(self, sde, t):
            return jnp.array([1.0, 3.0])

    loss = matching_error(sj.VP(), lambda x, t: OUTPUT, X0, EPS, 0.3, Own(), HalfSum())
    np.testing.assert_allclose(loss, 0.5 * np.sum(np.array([1.0, 3.0]) * (OUTPUT - X0) ** 2))


def test_likelihood_weights_at_the_times_of_a_table_are_refused():
    with pytest.raises(sj.InputError, match=r"a discrete chain has no g\(t\)"):
        Objective(weighting=sj.Likelihood(), times=TableTimes())


@pytest.mark.parametrize("sde", [sj.VP(), sj.SubVP(), sj.VE()], ids=str)
@pytest.mark.parametrize(
    "objective", [Objective(times=TableTimes()), Objective(sj.X0(TableLabel()))], ids=["times", "label"]
)
def test_the_objective_of_a_discrete_chain_is_refused_on_a_path_without_a_table(sde, objective):
    with pytest.raises(sj.InputError, match=r"expected a path with a table of times, DDPM or SMLD"):
        objective.require_fit(sde)
    with pytest.raises(sj.InputError, match=r"expected a path with a table of times, DDPM or SMLD"):
        Experiment(sde=sde, objective=objective)


def test_an_objective_says_what_its_minimiser_is():
    assert Objective().minimiser(["label"]) == "E[x_0 | x_t, label] of the data, and the score of x_t"
    coupled = Objective(coupling=OptimalTransport())
    assert coupled.minimiser().startswith("E[dx_t / dt | x_t], the velocity of pairs by OptimalTransport")
    Objective().require_score("x")
    with pytest.raises(sj.InputError, match=r"--sampler=pc: asks for the score, .* OptimalTransport has none"):
        coupled.require_score("--sampler=pc")

    class Own:
        def pair(self, key, x0, eps):
            return x0, eps

    assert not Objective(coupling=Own()).gives_score


@pytest.mark.parametrize("condition", [Vector(3), Channels(1), Conditions({"label": ClassLabel(3), "kind": Vector(2)})])
def test_noise_that_would_tell_of_a_vector_or_an_image_is_refused(condition):
    Objective(coupling=OptimalTransport()).require_heard(ClassLabel(3).hears())
    Objective().require_heard(condition.hears())
    with pytest.raises(sj.InputError, match="its noise would tell of them: expected a network that hears labels alone"):
        Objective(coupling=OptimalTransport()).require_heard(condition.hears())
    network = MLP(condition=condition)
    with pytest.raises(sj.InputError, match="its noise would tell of them"):
        Experiment(network=network, objective=Objective(coupling=OptimalTransport()))


def test_an_objective_of_other_parts_comes_back_from_its_json():
    objective = Objective(
        sj.ScoreFunction(TableLabel()), sj.Simple(), TableTimes(stratified=False), OptimalTransport(), HalfSum()
    )
    experiment = Experiment(sde=sj.sde.SMLD(steps=7), objective=objective)
    assert Experiment.from_json(json.loads(json.dumps(experiment.to_json()))) == experiment


def test_what_is_told_of_an_objective_in_json_may_be_as_little_as_it_was():
    assert Experiment.from_json({"objective": {"parameterization": "V"}}).objective == Objective(sj.V())
