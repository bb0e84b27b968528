"""Numbers that no machine has room or time for are refused in a line, promptly, before any work."""

import pytest

ABSURD = {
    "training.steps": 10**12,
    "training.batch_size": 10**12,
    "training.checkpoint_every": 10**30,
    "network.depth": 10**6,
    "network.width": 10**9,
    "samplers.pc.steps": 10**12,
    "samplers.ode.steps": 10**7,
    "evaluation.num_samples": 10**12,
    "likelihood.elbo_strata": 10**9,
}


@pytest.mark.parametrize(("setting", "value"), ABSURD.items())
def test_an_absurd_setting_is_one_line(setting, value, tmp_path, sde_jax):
    (line,) = sde_jax("train", *sde_jax.tiny, f"--config.{setting}={value}", "--workdir", tmp_path / "run").problems
    expected = "whose training takes" if setting == "network.width" else f"config.{setting} = {value}: expected at most"
    assert expected in line
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["sample", "--num_samples=2147483647"], "--num_samples=2147483647: 512 GiB of samples; expected at most"),
        (["restore", "--task=deblur", "--blur=1e9", "--example=1"], "deviation = 1000000000.0 pixels: expected"),
        (
            ["restore", "--task=inpaint", "--steps=2147483647", "--example=1"],
            "--steps=2147483647: expected at most",
        ),
        (["restore", "--task=sensors", "--num_sensors=2147483647", "--example=1"], "expected at most 16 a pixel"),
    ],
)
def test_an_absurd_flag_is_one_line(command, told, run, sde_jax):
    (line,) = sde_jax(command[0], "--workdir", run, *command[1:]).problems
    assert told in line
