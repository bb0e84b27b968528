import dataclasses
import json
import subprocess

import pytest

from sde_jax import data, features, likelihood, metrics, nn, objective, prediction, sampling, sde, training
from sde_jax.codec import components, decode, encode
from sde_jax.data import Digits, Images
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Sampler, Training

VP = sde.VP(0.3, 7.0)
PATHS = {"VP", "SubVP", "VE", "DDPM", "SMLD", "EDMPath", "Cosine", "RectifiedFlow", "MeanReverting", "Brownian"} | {
    "Restoration",
    *("Centred", "Shifted", "Transformed", "TimeChange", "Product", "Schedule"),
}
EXAMPLES = {
    "Tuned": sampling.Tuned((1.0, 0.5, 0.1), (1.0, 0.45), ((0.7,), (-0.2, 0.8))),
    "Images": Images(path="images.zip"),
    "ArrayFile": data.ArrayFile("numbers.npz"),
    "Table": data.Table("numbers.csv"),
    "Prepared": data.Prepared("prepared"),
    "LSUN": data.LSUN("church_outdoor"),
    "HuggingFace": data.HuggingFace("images"),
    "TFRecordImages": data.TFRecordImages("images.tfrecords"),
    "ClassLabel": nn.ClassLabel(3),
    "Vector": nn.Vector(3),
    "Channels": nn.Channels(3),
    "Conditions": nn.Conditions({"label": nn.ClassLabel(3), "augmentation": nn.Vector(2)}),
    "Inception": features.Inception("weights.npz"),
    "Trained": features.Trained("classifier"),
    "ByTable": nn.ByTable(0.01, 50.0, 1000),
    "Centred": sde.Centred(VP),
    "MeanReverting": sde.MeanReverting(0.3, 0.2, sde.ConstantReversion(0.1)),
    "Transformed": sde.Transformed(VP, sde.Logit(-1.0, 2.0)),
}
"""Components whose fields have no defaults."""
FUNCTIONS = {"Function", "Shifted", "TimeChange", "Product", "Schedule", "DDRM"}
"""Components that hold functions or measurements, which JSON cannot."""
PROTOCOLS = [
    (sde.GaussianPath, PATHS),
    (nn.Architecture, {"MLP", "DiT", "NCSNpp", "DDPMNet", "NCSN", "NCSNv2", "NCSNv2Deeper", "NCSNv2Deepest"}),
    (nn.Activation, {"Swish", "ELU", "ReLU", "LeakyReLU"}),
    (
        nn.Normalization,
        {"GroupNormalization", "VarianceNormalization"} | {"InstanceNormalization", "InstanceNormalizationPlus"},
    ),
    (nn.OutputScale, {"Unscaled", "BySigma", "ByTable"}),
    (nn.Embedding, {"Positional", "Fourier"}),
    (nn.BlockType, {"BigGANBlock", "DDPMBlock"}),
    (nn.Resampling, {"Box", "FIR"}),
    (nn.InputPyramid, {"NoPyramid", "InputSkip", "InputResidual"}),
    (nn.OutputPyramid, {"NoPyramid", "OutputSkip", "OutputResidual"}),
    (nn.Combination, {"Sum", "Concatenate"}),
    (prediction.Parameterization, {"Epsilon", "X0", "V", "Velocity", "ScoreFunction", "EDM"}),
    (prediction.Label, {"ScaledTime", "Deviation", "LogNoise", "TableLabel"}),
    (objective.Weighting, {"Simple", "Likelihood", "EDMWeighting", "FlowMatching", "MinSNR", "P2", "Sigmoid"}),
    (objective.Times, {"Uniform", "UniformLogSNR", "Importance", "LogNormal", "LogitNormal", "TableTimes"}),
    (objective.Coupling, {"Independent", "OptimalTransport"}),
    (objective.Reduction, {"Mean", "HalfSum"}),
    (likelihood.Divergence, {"Exact", "Hutchinson", "HutchPP", "XTrace"}),
    (
        data.Dataset,
        {"Digits", "Images", "ArrayFile", "Table", "Prepared", "HuggingFace", "TFRecordImages", "CIFAR10", "SVHN"}
        | {"CelebA", "LSUN", "Moons", "Rings", "Spirals", "SwissRoll", "Checkerboard", "GaussianRing"},
    ),
    (
        sampling.Solver,
        {"EulerMaruyama", "ReverseDiffusion", "Ancestral", "PredictorCorrector", "ProbabilityFlow", "ReverseSDE"}
        | {"Heun", "Identity", "DDPMAncestral", "SMLDAncestral", "EDMHeun", "Restart", "DDIM", "MultistepConsistency"}
        | {"DPMSolverSinglestep", "DPMSolverMultistep", "UniPC", "SASolver", "DEIS", "IPNDM", "DDRM", "Tuned"},
    ),
    (sampling.Corrector, {"Langevin", "BatchLangevin", "NoCorrection"}),
    (sampling.Discretization, {"ExactTransition", "EulerSteps", "Tables"}),
    (sde.Tabulated, {"DDPM", "SMLD"}),
    (nn.Condition, {"Unconditional", "ClassLabel", "Vector", "Channels", "Conditions"}),
    (training.Augmentation, {"NoAugmentation", "Geometric"}),
    (training.Degradation, {"NoDegradation", "Corruption"}),
    (features.Features, {"Raw", "Inception", "Trained", "Function"}),
    (
        metrics.Metric,
        {"Frechet", "Kernel", "InceptionScore", "PrecisionRecall", "DensityCoverage", "SlicedWasserstein", "Energy"}
        | {"Memorisation"},
    ),
]


@dataclasses.dataclass(frozen=True)
class Own(sde.VP):
    """A process of a user's own."""

    extra: float = 1.0


@pytest.mark.parametrize(("protocol", "names"), PROTOCOLS, ids=lambda value: getattr(value, "__name__", ""))
def test_the_components_of_a_protocol_are_what_its_package_exports(protocol, names):
    assert components(protocol).keys() == names


@pytest.mark.parametrize(("protocol", "_"), PROTOCOLS, ids=lambda value: getattr(value, "__name__", ""))
def test_every_component_comes_back_from_its_json(protocol, _):
    for name, cls in components(protocol).items():
        if name in FUNCTIONS:
            continue
        value = EXAMPLES[name] if name in EXAMPLES else cls()
        written = json.loads(json.dumps(encode(value)))
        assert written["type"] == cls.__name__
        assert decode(protocol, written) == (value, [])


def test_a_component_that_exists_already_stands_for_its_fields():
    assert decode(sde.GaussianPath, sde.VE(0.1, 30.0)) == (sde.VE(0.1, 30.0), [])


def test_the_fields_of_a_component_that_exists_already_are_checked_too():
    value, problems = decode(Training, Training(steps=2.5, flip="true"))  # type: ignore[arg-type]
    assert value.flip is True
    assert len(problems) == 1
    assert problems[0].startswith("value.steps = 2.5: expected int")


@pytest.mark.parametrize("value", [sde.VP, nn.MLP(), 3, None, [], object()])
def test_what_does_not_fit_a_protocol_is_refused(value):
    decoded, problems = decode(sde.GaussianPath, value, sde.VE())
    assert decoded == sde.VE()
    assert len(problems) == 1
    assert "expected the name or the fields of GaussianPath" in problems[0]


def test_what_is_left_out_is_taken_from_the_current_value():
    assert decode(sde.GaussianPath, {"sigma_max": 20}, sde.VE(0.1, 30.0)) == (sde.VE(0.1, 20.0), [])


def test_a_component_of_another_class_starts_from_its_own_defaults():
    assert decode(sde.GaussianPath, {"type": "VE", "sigma_max": 20}, sde.VP(1.0, 30.0)) == (sde.VE(0.01, 20.0), [])


def test_text_is_read_as_the_type_of_the_setting():
    data = {"steps": "7", "flip": "true", "optimizer": {"learning_rate": "1e-3"}}
    value, problems = decode(Training, data)
    assert (value.steps, value.flip, value.optimizer.learning_rate, problems) == (7, True, 1e-3, [])
    for text, numbers in (("(1, 2)", (1, 2)), ("[4]", (4,)), ("1,2,3", (1, 2, 3)), ("()", ())):
        assert decode(tuple[int, ...], text) == (numbers, [])


def test_every_problem_is_found_at_once_in_the_order_of_the_data():
    data = {"steps": "many", "optimzer": {}, "flip": "perhaps", "average": {"decay": 2}, "keep": 0}
    value, problems = decode(Training, data, Training(steps=5), "training")
    assert value == Training(steps=5)
    assert [problem.split(":")[0] for problem in problems] == [
        "training.steps = 'many'",
        "training.optimzer",
        "training.flip = 'perhaps'",
        "training.average",
        "training",
    ]
    assert "did you mean optimizer?" in problems[1]
    assert "expected 0 <= decay < 1" in problems[3]
    assert "keep = 0: expected 1 or more" in problems[4]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", float("nan"), float("inf")])
def test_numbers_that_json_does_not_know_are_refused(number):
    _, problems = decode(sde.GaussianPath, {"beta_max": number}, sde.VP())
    assert len(problems) == 1
    assert "finite number" in problems[0]


def test_a_missing_field_is_named():
    value, problems = decode(Sampler, {"steps": 3})
    assert (value, problems) == (None, ["value.solver: missing; expected Solver"])


def test_a_new_entry_of_a_mapping_that_cannot_be_made_names_those_that_are_there():
    _, problems = Experiment().override({"samplers.odd.steps": "3"})
    assert problems == [
        "config.samplers.odd.solver: missing; expected Solver",
        "config.samplers.odd: no such entry to change; did you mean ode?",
    ]


def test_a_new_entry_of_a_mapping_can_be_made_from_its_fields():
    changed, problems = Experiment().override({"samplers.em.solver": "EulerMaruyama", "samplers.em.steps": "3"})
    assert problems == []
    assert changed.samplers == {**Experiment().samplers, "em": Sampler(sampling.EulerMaruyama(), steps=3)}


@pytest.mark.parametrize(
    "named",
    ["os.system", "subprocess.Popen", "builtins.eval", "__import__", "GaussianPath", "path", "known", "", "vp.VP"],
)
def test_nothing_but_the_exports_of_the_library_is_looked_up_or_run(named, tmp_path, monkeypatch):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("executed"))
    data = {"type": named, "args": ["touch", str(tmp_path / "executed")], "beta_max": 3}
    value, problems = decode(sde.GaussianPath, data)
    assert value is None
    assert problems == [f"value = {named!r}: no such GaussianPath; {problems[0].split('; ')[1]}"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("named", [3, None, ["VP"], {"type": "VP"}])
def test_a_type_that_is_no_name_is_refused(named):
    assert "no such GaussianPath" in decode(sde.GaussianPath, {"type": named})[1][0]


def test_a_component_of_the_users_own_can_be_changed_but_not_named():
    own = Own(1.0, 2.0, 3.0)
    assert decode(sde.GaussianPath, own) == (own, [])
    assert decode(sde.GaussianPath, {"extra": "5"}, own) == (Own(1.0, 2.0, 5.0), [])
    assert decode(sde.GaussianPath, encode(own), own) == (own, [])
    assert decode(sde.GaussianPath, encode(own))[1] == ["value = 'Own': no such GaussianPath; " + EXPECTED]


EXPECTED = f"expected one of {', '.join(sorted(dict(PROTOCOLS)[sde.GaussianPath]))}"


def test_an_error_in_a_component_keeps_the_current_one():
    value, problems = decode(sde.GaussianPath, {"beta_min": 30}, sde.VP())
    assert value == sde.VP()
    (problem,) = problems
    assert problem.startswith(
        "value: VP(beta_min=30.0, beta_max=20.0): expected 0 <= beta_min <= beta_max, beta_max > 0"
    )


def test_data_that_describe_the_default_are_the_default():
    assert decode(data.Dataset, "Digits") == (Digits(), [])
    assert decode(Experiment, {}) == (Experiment(), [])


def test_from_json_raises_with_a_line_for_every_problem():
    with pytest.raises(InputError) as raised:
        Experiment.from_json({"sed": 3, "training": {"steps": 0, "batch_size": "x"}})
    assert [line.split(":")[0] for line in str(raised.value).splitlines()] == [
        "config.sed",
        "config.training.batch_size = 'x'",
        "config.training",
    ]


@pytest.mark.parametrize("text", ["2020_01_01", "1_0", "1__000", "12_34_567"])
def test_underscores_in_a_number_set_thousands_apart_and_nothing_else(text):
    for setting in ("training.steps", "sde.beta_max", "data_range"):
        value = f"0,{text}" if setting == "data_range" else text
        assert any("expected" in problem for problem in Experiment().override({setting: value})[1])
    changed, problems = Experiment().override({"training.steps": "1_000_000", "sde.beta_max": "1_000.5"})
    assert not problems
    assert (changed.training.steps, changed.sde.beta_max) == (1_000_000, 1000.5)
