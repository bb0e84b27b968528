import dataclasses
import json

import pytest

from sde_jax.data import Images
from sde_jax.errors import InputError
from sde_jax.experiment import Evaluation, Experiment, Objective, Sampler, Scoring, Training
from sde_jax.likelihood import Exact
from sde_jax.nn import ClassLabel, Conditions, NCSNpp, Vector
from sde_jax.objective import Likelihood, UniformLogSNR
from sde_jax.ode import Tolerance
from sde_jax.prediction import LogNoise, V
from sde_jax.sampling import Ancestral, EulerMaruyama, ProbabilityFlow
from sde_jax.sde import VE
from sde_jax.training import Adam

OTHER = Experiment(
    data=Images("images.zip", 7),
    data_range=(0.0, 1.0),
    sde=VE(0.02, 40.0),
    network=NCSNpp(features=8, channel_multipliers=(1, 2), attention_resolutions=()),
    objective=Objective(V(LogNoise(40.0)), Likelihood(), UniformLogSNR(1e-4)),
    training=Training(steps=9, flip=True, optimizer=Adam(half_life=3.0)),
    samplers={"em": Sampler(EulerMaruyama(), 9), "flow": Sampler(ProbabilityFlow(Tolerance(0.1, 0.2, 7)), end=0.01)},
    likelihood=Scoring(Exact(), passes=2),
    seed=2**32 - 1,
)


@pytest.mark.parametrize("experiment", [Experiment(), OTHER])
def test_an_experiment_comes_back_from_its_json(experiment):
    assert Experiment.from_json(json.loads(json.dumps(experiment.to_json()))) == experiment


def test_what_is_left_out_of_json_is_the_default():
    assert Experiment.from_json({"seed": 3, "sde": "VE"}) == Experiment(sde=VE(), seed=3)


def test_overrides_change_settings_and_whole_components_by_dotted_paths():
    changed, problems = Experiment().override(
        {
            "sde": "VE",
            "sde.sigma_max": "40",
            "training.optimizer.learning_rate": "0.5",
            "samplers.pc.solver.predictor": "Ancestral",
            "samplers.ode.solver.tolerance.max_steps": "3",
            "seed": "5",
        }
    )
    assert problems == []
    assert changed.sde == VE(0.01, 40.0)
    assert changed.training.optimizer == Adam(learning_rate=0.5)
    assert changed.samplers["pc"].solver.predictor == Ancestral()
    assert changed.samplers["ode"].solver.tolerance.max_steps == 3
    assert (changed.seed, changed.network) == (5, Experiment().network)


def test_a_component_and_its_settings_may_be_given_in_either_order():
    first, _ = Experiment().override({"sde": "VE", "sde.sigma_max": "40"})
    second, _ = Experiment().override({"sde.sigma_max": "40", "sde": "VE"})
    assert first == second


def test_no_override_is_no_change():
    assert OTHER.override({}) == (OTHER, [])


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("trainin.steps", "3", "config.trainin: no such setting; did you mean training?"),
        ("training.stpes", "3", "config.training.stpes: no such setting; did you mean steps?"),
        ("sde.beta_mx", "3", "did you mean beta_max or beta_min?"),
        ("network", "MPL", "config.network = 'MPL': no such Architecture; did you mean MLP?"),
        ("samplers.odd", "EulerMaruyama", "did you mean ode?"),
        ("training.steps", "many", "config.training.steps = 'many': expected int"),
        ("training.steps", "2.5", "config.training.steps = '2.5': expected int"),
        ("training.flip", "perhaps", "config.training.flip = 'perhaps': expected bool"),
        ("training", "3", "config.training = '3': no such Training"),
        ("sde.beta_max", "nan", "config.sde.beta_max = 'nan': expected float"),
        ("training.steps", "0", "steps = 0: expected 1 or more"),
        ("training.optimizer.learning_rate", "inf", "expected float"),
        ("seed", "-1", "seed = -1: expected 0 <= seed < 2^32"),
        ("seed", str(2**32), "expected 0 <= seed < 2^32"),
        ("data_range", "1,1", "data_range = (1.0, 1.0): expected two numbers, low < high"),
        ("data_range", "0,x", "config.data_range = ['0', 'x']: expected tuple[float, float]"),
        ("data_range", "0", "config.data_range = ['0']: expected tuple[float, float]"),
        ("samplers.pc.end", "1", "end = 1.0: expected 0 <= end < 1"),
        ("likelihood.start", "0", "start = 0.0: expected 0 < start < 1"),
        ("likelihood.tolerance.rtol", "0", "expected rtol > 0"),
        ("evaluation.samplers", "ode,od", "evaluation.samplers: no sampler 'od'; did you mean ode?"),
        ("evaluation.num_samples", "1", "num_samples = 1: expected 2 or more"),
        ("evaluation.batch_size", "0", "batch_size = 0: expected 1 or more"),
        ("evaluation.neighbours", "-1", "neighbours = -1: expected 0 or more"),
        ("evaluation.seed", "-1", "seed = -1: expected 0 <= seed < 2^32"),
        (
            "evaluation.metrics.kid",
            "Kernl",
            "config.evaluation.metrics.kid = 'Kernl': no such Metric; did you mean",
        ),
        ("", "3", "no such setting"),
        (".", "3", "no such setting"),
        ("sde.beta_max.x", "3", "expected float"),
    ],
)
def test_a_wrong_override_is_told_with_what_was_expected(path, value, told):
    changed, problems = Experiment().override({path: value})
    assert changed == Experiment()
    assert told in problems[0] or told in problems[-1]


def test_the_identity_of_a_run_leaves_out_how_long_it_is_and_how_it_is_logged_sampled_and_scored():
    longer = dataclasses.replace(Experiment().training, steps=7, log_every=1, checkpoint_every=2, keep=9, keep_every=4)
    evaluation = Evaluation(num_samples=9, seed=3)
    other = Experiment(training=longer, samplers={}, likelihood=Scoring(Exact()), evaluation=evaluation)
    assert other.identity() == Experiment().identity()


def test_a_config_written_before_there_were_evaluations_has_the_default_one():
    data = OTHER.to_json()
    del data["evaluation"]
    assert Experiment.from_json(data) == OTHER


@pytest.mark.parametrize(
    "override",
    [
        {"seed": "1"},
        {"sde": "VE"},
        {"data_range": "0,1"},
        {"network.width": "8"},
        {"training.batch_size": "8"},
        {"training.flip": "true"},
        {"training.crop": "2"},
        {"training.symmetry.turns": "true"},
        {"network.condition": "ClassLabel", "network.condition.classes": "10", "training.label_dropout": "0.1"},
        {"network.condition": "Vector", "network.condition.size": "9", "training.augmentation": "Geometric"},
        {"training.average.decay": "0.5"},
        {"training.optimizer.warmup": "1"},
        {"objective.times": "UniformLogSNR"},
    ],
    ids=str,
)
def test_the_identity_of_a_run_holds_everything_that_its_parameters_depend_on(override):
    changed, problems = Experiment().override(override)
    assert problems == []
    assert changed.identity() != Experiment().identity()


def test_several_conditions_are_named_by_overrides():
    parts = {"label": {"type": "ClassLabel", "classes": 10}, "augmentation": {"type": "Vector", "size": 9}}
    changes = {"network.condition": {"type": "Conditions", "parts": parts}, "training.augmentation": "Geometric"}
    changed, problems = Experiment().override(changes)
    assert problems == []
    assert changed.network.condition == Conditions({"label": ClassLabel(10), "augmentation": Vector(9)})
    assert Experiment.from_json(json.loads(json.dumps(changed.to_json()))) == changed
    told = {f"network.condition.parts.{name}.{field}": v for name, part in parts.items() for field, v in part.items()}
    renamed = {key.removesuffix(".type"): value for key, value in told.items()}
    assert Experiment().override({"network.condition": "Conditions", **renamed})[0].network == changed.network


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"training.label_dropout": "0.1"}, "expected a network conditioned on labels, such as ClassLabel"),
        ({"training.label_dropout": "1"}, "expected 0 <= label_dropout < 1"),
        ({"training.crop": "-1"}, "crop = -1: expected 0 or more"),
        ({"training.augmentation": "Geometric"}, "tells 9 numbers: expected a network.condition that hears them"),
        (
            {"training.augmentation": "Geometric", "network.condition": "Vector", "network.condition.size": "8"},
            "Vector(9)",
        ),
    ],
    ids=str,
)
def test_a_network_that_does_not_hear_what_it_is_told_is_refused(changes, told):
    _, problems = Experiment().override(changes)
    assert any(told in problem for problem in problems), problems


@pytest.mark.parametrize("name", ["../pc", "a/b", "a b", "", "."])
def test_a_sampler_has_a_name_that_files_can_have(name):
    with pytest.raises(InputError, match="expected names of letters"):
        Experiment(samplers={name: Sampler(EulerMaruyama())})


def test_several_settings_out_of_range_are_told_together():
    with pytest.raises(InputError, match=r"steps = 0.*\n.*keep = -1"):
        Training(steps=0, keep=-1)


@pytest.mark.parametrize("range_", [(0.0,), (1.0, 0.0), (0.0, float("inf")), (0.0, 1.0, 2.0)])
def test_data_need_a_range_of_some_width(range_):
    with pytest.raises(InputError, match=r"data_range = .*expected two numbers, low < high"):
        Experiment(data_range=range_)


@pytest.mark.parametrize(("text", "steps"), [("1e4", 10_000), ("2.5e3", 2500), ("300.0", 300), ("1_000", 1000)])
def test_a_whole_number_may_be_written_as_any(text, steps):
    changed, problems = Experiment().override({"training.steps": text})
    assert (changed.training.steps, problems) == (steps, [])
    assert isinstance(changed.training.steps, int)


@pytest.mark.parametrize("text", ["1.5", "1e-1", "1e400", "ten", "", "1e999999999"])
def test_what_is_no_whole_number_is_not_rounded_to_one(text):
    changed, (told,) = Experiment().override({"training.steps": text})
    assert changed == Experiment()
    assert told.startswith(f"config.training.steps = {text!r}: expected int")


def test_numbers_that_stand_for_text_stay_as_they_are():
    changed, problems = Experiment().override({"data.path": "1e4", "data_range": "-1e0,1e0", "sde": "vp"})
    assert (changed.data.path, changed.data_range) == ("1e4", (-1.0, 1.0))
    assert [line.split("; ")[1] for line in problems] == ["did you mean VP?"]
