from sde_jax import processes
from sde_jax.processes.agreement import differences
from sde_jax.processes.fingerprint import code_digest


def test_what_all_have_in_common_is_not_told():
    assert differences([{"seed": "1", "step": "0"}] * 3) == []


def test_the_odd_one_is_named_with_its_value_and_that_of_the_others():
    said = [{"config.training.batch_size": size} for size in ("16", "16", "32")]
    assert differences(said) == ["process 2 of 3: config.training.batch_size = 32, elsewhere 16"]


def test_of_two_processes_the_second_is_the_odd_one():
    assert differences([{"step": "4"}, {"step": "8"}]) == ["process 1 of 2: step = 8, elsewhere 4"]


def test_odd_ones_that_agree_share_a_line_and_what_is_missing_is_told():
    said = [{"a": "1"}, {"a": "2"}, {"a": "2"}, {"a": "1"}, {"a": "1"}, {}]
    assert differences(said) == ["processes 1, 2 of 6: a = 2, elsewhere 1", "process 5 of 6: a = nothing, elsewhere 1"]


def test_one_process_agrees_with_itself():
    processes.require_same({"seed": "0"})
    assert (processes.index(), processes.count(), processes.is_first()) == (0, 1, True)


def test_a_fingerprint_has_every_setting_under_its_path_and_the_code():
    config = {"experiment": {"seed": 3, "samplers": {}, "range": [-1, 1]}, "levels": 256}
    found = processes.fingerprint(config, 40)
    assert found["config.experiment.seed"] == "3"
    assert found["config.experiment.samplers"] == "{}"
    assert found["config.experiment.range"] == "[-1, 1]"
    assert found["step to go on from"] == "40"
    assert code_digest()[:12] in found["code of sde_jax"]
