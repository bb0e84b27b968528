from pathlib import Path

import pytest

from sde_jax.commands.settings import resolve
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Training
from sde_jax.nn import MLP
from sde_jax.sde import VE

EXPERIMENT = (
    "from sde_jax.experiment import Experiment, Training\nfrom sde_jax.nn import MLP\nfrom sde_jax.sde import VP\n"
)


@pytest.fixture
def config(tmp_path):
    """Write a config file; return its path."""

    def write(text: str) -> str:
        path = tmp_path / "config.py"
        path.write_text(text)
        return str(path)

    return write


def problems(path: str, **overrides: str) -> list[str]:
    with pytest.raises(InputError) as raised:
        resolve(path, overrides)
    return str(raised.value).splitlines()


def test_a_config_returns_an_experiment(config):
    path = config(EXPERIMENT + "def get_config(): return Experiment(seed=3, network=MLP(width=8))")
    assert resolve(path, {"training.steps": "4"}) == Experiment(
        seed=3, network=MLP(width=8), training=Training(steps=4)
    )


@pytest.mark.parametrize(
    "text",
    [
        "def get_config(): return {'seed': 3, 'sde': {'type': 'VE', 'sigma_max': 40}, 'training': {'steps': 4}}",
        "import ml_collections\n"
        "def get_config():\n"
        "    config = ml_collections.ConfigDict()\n"
        "    config.seed = 3\n"
        "    config.sde = ml_collections.ConfigDict({'type': 'VE', 'sigma_max': 40})\n"
        "    config.training = {'steps': 4}\n"
        "    return config\n",
    ],
    ids=["mapping", "ConfigDict"],
)
def test_a_config_may_be_a_mapping_or_a_config_dict(config, text):
    assert resolve(config(text), {}) == Experiment(seed=3, sde=VE(0.01, 40.0), training=Training(steps=4))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def get_config(:\n", ", line 1: SyntaxError"),
        ("x = 1\n", ": defines no get_config(); expected a function"),
        ("get_config = 3\n", ": defines no get_config(); expected a function"),
        ("\nimport no_such_module\n", ", line 2: ModuleNotFoundError: No module named 'no_such_module'"),
        ("def get_config():\n    return 1 / 0\n", ", line 2: ZeroDivisionError"),
        ("def get_config():\n    raise SystemExit(0)\n", ", line 2: SystemExit"),
        ("def get_config(required): pass\n", "TypeError: get_config() missing 1 required"),
        ("def get_config(): pass\n", ": get_config() returned None; expected an Experiment"),
        ("from sde_jax.experiment import Experiment\nget_config = lambda: Experiment\n", "expected an Experiment"),
        ("get_config = lambda: 'VP'\n", ": get_config() returned 'VP'; expected an Experiment"),
        (
            "from sde_jax.sde import VP\ndef get_config():\n    return VP(3, 2)\n",
            ", line 3: VP(beta_min=3, beta_max=2)",
        ),
        (EXPERIMENT + "def get_config(): return Experiment(trianing=3)\n", "unexpected keyword argument 'trianing'"),
    ],
)
def test_a_config_file_that_cannot_be_used_is_told_in_one_line_with_its_name(config, text, told):
    path = config(text)
    (line,) = problems(path)
    assert line.startswith(path)
    assert told in line


@pytest.mark.parametrize("path", ["nowhere.py", "", str(Path(__file__).parent)])
def test_a_config_file_that_is_not_there_is_told(path):
    (line,) = problems(path)
    assert "no such config file; those of the repository are in configs/" in line


def test_wrong_types_in_a_config_file_are_told_with_everything_else(config):
    text = "def get_config(): return Experiment(sde=MLP(), network=MLP, training=Training(steps=2.5))"
    told = problems(config(EXPERIMENT + text), **{"seed": "x", "training.batch_sise": "3"})
    assert [line.split(":")[0] for line in told] == [
        "config.sde = MLP(width=512, depth=4, dropout=0.0, condition=Unconditional())",
        "config.network = <class 'sde_jax.nn.mlp.MLP'>",
        "config.training.steps = 2.5",
        "config.seed = 'x'",
        "config.training.batch_sise",
    ]


def test_misspelt_keys_of_a_mapping_are_told_with_near_names(config):
    told = problems(config("def get_config(): return {'sed': 3, 'training': {'stpes': 4}, 'network': 'MPL'}"))
    assert told == [
        "config.sed: no such setting; did you mean seed or sde?",
        "config.training.stpes: no such setting; did you mean steps?",
        "config.network = 'MPL': no such Architecture; did you mean MLP?",
    ]


def test_a_class_of_the_config_file_itself_may_be_used_and_changed(config):
    text = (
        "from __future__ import annotations\n"
        "from sde_jax.sde import VP, path\n" + EXPERIMENT + "@path\n"
        "class Own(VP):\n"
        "    extra: float = 1.0\n"
        "def get_config(): return Experiment(sde=Own(0.2))\n"
    )
    sde = resolve(config(text), {"sde.beta_max": "15"}).sde
    assert (type(sde).__name__, sde.beta_min, float(sde.beta_max)) == ("Own", 0.2, 15.0)


def test_a_batch_that_does_not_divide_over_the_devices_is_told_with_what_the_samplers_need(config, monkeypatch):
    # tests/commands/test_devices.py has eight devices.
    monkeypatch.setattr("jax.device_count", lambda: 8)
    changes = {"training.batch_size": "12", "samplers.pc.spacing": "OfficialGrid", "samplers.pc.end": "0"}
    told = problems(config("def get_config(): return {}"), **changes)
    assert [line.split(", a whole")[0] for line in told] == [
        "config.training.batch_size = 12: expected a multiple of the number of devices, 8",
        "config.samplers.pc: official(steps=1000, end=0.0, start=1.0): expected steps >= 2",
    ]


def test_what_is_wrong_in_itself_is_told_before_a_device_is_asked_for(config, monkeypatch):
    def asked():
        raise AssertionError("a device was asked for")

    monkeypatch.setattr("jax.device_count", asked)
    monkeypatch.setattr("jax.devices", asked)
    told = problems(config("def get_config(): return {'network': 'MPL'}"), **{"training.batch_size": "x"})
    assert told == [
        "config.network = 'MPL': no such Architecture; did you mean MLP?",
        "config.training.batch_size = 'x': expected int (input should be a valid integer, unable to parse string as an "
        "integer)",
    ]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        (
            "ve/cifar10_ncsnpp",
            {"sde.sigma_max": "60"},
            [
                "config.network.scale = ByTable(sigma_min=0.01, sigma_max=50.0, count=1000)",
                "config.samplers.pc.solver.predictor",
                "config.samplers.pc.solver.corrector",
            ],
        ),
        ("ve/cifar10_ncsnpp", {"sde.steps": "900"}, ["config.network.scale = ByTable(sigma_min=0.01, sigma_max=50.0"]),
        ("ve/ncsn/cifar10", {"sde.steps": "12"}, ["config.network.classes = 10"]),
        ("vp/cifar10_ddpmpp", {"sde.beta_max": "15"}, ["config.samplers.pc.solver.predictor"]),
    ],
)
def test_tables_that_a_change_of_the_path_leaves_behind_are_told(name, change, told):
    lines = problems(str(Path(__file__).parents[2] / "configs" / f"{name}.py"), **change)
    assert len(lines) == len(told)
    assert all(line.startswith(start) and ": expected" in line for line, start in zip(lines, told, strict=True))
