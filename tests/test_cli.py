import sys

import pytest

from sde_jax import __version__, cli

COMMANDS = ("train", "run", "sample", "likelihood", "report", "configs", "publish", "data", "doctor")


def parse(*arguments: str):
    return cli.parse(["sde-jax", *arguments])


def refused(capsys, *arguments: str) -> str:
    with pytest.raises(SystemExit) as exit:
        parse(*arguments)
    assert exit.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line.removeprefix("sde-jax: ")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_and_its_exit_codes(command, capsys):
    with pytest.raises(SystemExit) as exit:
        parse(command, "--help")
    assert exit.value.code == 0
    shown = capsys.readouterr().out
    assert f"usage: sde-jax {command}" in shown
    assert "75 interrupted" in " ".join(shown.split())


def test_the_program_lists_its_commands(capsys):
    with pytest.raises(SystemExit) as exit:
        parse("--help")
    assert exit.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"    {command}" in shown for command in COMMANDS)


def test_settings_are_gathered_from_both_forms_of_an_override():
    flags = parse("train", "--config=c.py", "--config.a.b=1", "--workdir", "w", "--config.c", "2", "--config.d=x=y")
    assert flags.overrides == {"a.b": "1", "c": "2", "d": "x=y"}
    assert (flags.config, str(flags.workdir), flags.dry_run) == ("c.py", "w", False)


def test_the_last_of_two_overrides_counts():
    flags = parse("train", "--config=c.py", "--workdir=w", "--config.a=1", "--config.a=2")
    assert flags.overrides == {"a": "2"}


def test_negative_numbers_and_empty_text_are_values():
    assert parse("train", "--config=c", "--workdir=w", "--config.a", "-1", "--config.b=").overrides == {
        "a": "-1",
        "b": "",
    }


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "COMMAND"),
        (["tarin"], "invalid choice: 'tarin'"),
        (["train", "--workdir=w"], "required: --config"),
        (["train", "--config=c"], "required: --workdir"),
        (["sample"], "required: --workdir"),
        (["train", "--config=c", "--workdir=w", "--stesp=3"], "--stesp=3: no such flag of `sde-jax train`"),
        (["train", "--config=c", "--workdir=w", "--work=x"], "--work=x: no such flag"),
        (["train", "--config=c", "--workdir=w", "stray"], "stray: no such flag"),
        (["train", "--config=c", "--workdir="], "expected a path, got nothing"),
        (["train", "--config=c", "--workdir=w", "--config.a"], "--config.a: expected a value"),
        (["train", "--config=c", "--workdir=w", "--config.a", "--dry_run"], "--config.a: expected a value"),
        (["sample", "--workdir=w", "--config.a=1"], "--config.a: `sample` takes its settings from the run's directory"),
        (["sample", "--workdir=w", "--config.seed=1"], "but for --config.samplers.NAME"),
        (["sample", "--workdir=w", "--sampler="], "expected a name, got nothing"),
        (["sample", "--workdir=w", "--solver="], "expected a name, got nothing"),
        (["sample", "--workdir=w", "--solver=DDIM", "--sampler=pc"], "not allowed with argument"),
        (["sample", "--workdir=w", "--num-samples=3"], "did you mean --num_samples"),
        (["train", "--config=c", "--workdir=w", "--steps=9"], "did you mean --config.training.steps?"),
        (["train", "--config=c", "--workdir=w", "--steps", "9"], "did you mean --config.training.steps?"),
        (["run", "--config=c", "--workdir=w", "--beta_max=9"], "did you mean --config.sde.beta_max?"),
        (
            ["train", "--config=c", "--workdir=w", "--batch_size=9"],
            "did you mean --config.training.batch_size or --config.likelihood.batch_size",
        ),
        (["train", "--config=c", "--workdir=w", "--dryrun"], "did you mean --dry_run?"),
        (["train", "--config=", "--workdir=w"], "expected a name, got nothing"),
        (["doctor", "--config="], "expected a name, got nothing"),
        (["sample", "--workdir=w", "--config=c"], "--config=c: no such flag of `sde-jax sample`"),
        (["sample", "--workdir=w", "--num_samples=0"], "--num_samples: '0': expected an integer from 1"),
        (["sample", "--workdir=w", "--num_samples", "-3"], "expected an integer from 1"),
        (["sample", "--workdir=w", "--num_samples=1e3"], "expected an integer from 1"),
        (["sample", "--workdir=w", "--batch_size=0"], "--batch_size: '0': expected"),
        (["sample", "--workdir=w", "--seed=-1"], "--seed: '-1': expected an integer from 0"),
        (["sample", "--workdir=w", f"--seed={2**32}"], "expected an integer from 0 to 4294967295"),
        (["sample", "--workdir=w", "--output="], "expected a path"),
        (["run", "--config=c", "--workdir=w", "--num_samples=0"], "--num_samples: '0': expected"),
        (["likelihood", "--workdir=w", "--num_examples=0"], "--num_examples: '0': expected"),
        (["publish", "--workdir=w"], "required: --output"),
        (["publish", "--output=o"], "required: --workdir"),
        (["publish", "--workdir=w", "--output=o", "--push"], "--push: expected one argument"),
        (["data"], "required: ACTION"),
        (["data", "look"], "invalid choice: 'look'"),
        (["data", "prepare", "x"], "required: --output"),
        (["data", "prepare", "x", "--output=o", "--shards=0"], "--shards: '0': expected an integer from 1"),
        (["data", "inspect", "x", "--shards=1"], "--shards=1: no such flag"),
        (["doctor", "--workdir=w"], "--workdir=w: no such flag of `sde-jax doctor`"),
        (["doctor", "--config.a=1"], "--config.a: `doctor` expects --config with it"),
        (["doctor", "--shape=8,8,3"], "--shape: `doctor` expects --config with it"),
        (["doctor", "--config=c", "--shape=8,8"], "'8,8': expected height,width,channels"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_flag_is_refused_in_one_line(arguments, told, capsys):
    line = refused(capsys, *arguments)
    assert told in line
    assert "--help`" in line


def test_settings_of_data_need_no_config():
    flags = parse("data", "inspect", "images.zip", "--config.data.size=32", "--exact")
    assert (flags.path, flags.config, flags.overrides, flags.exact) == ("images.zip", None, {"data.size": "32"}, True)


def test_an_interrupt_ends_a_command_without_a_traceback(capsys, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_dispatch", interrupted)
    monkeypatch.setattr(sys, "argv", ["sde-jax", "doctor"])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert exit.value.code == 130
    assert capsys.readouterr().err == "sde-jax: interrupted\n"


def test_the_samplers_of_a_run_may_be_changed_for_a_drawing():
    flags = parse("sample", "--workdir=w", "--config.samplers.pc.steps=5", "--config.samplers.pc.solver=DDIM")
    assert flags.overrides == {"samplers.pc.steps": "5", "samplers.pc.solver": "DDIM"}


def test_the_version_is_told(capsys):
    with pytest.raises(SystemExit) as exit:
        parse("--version")
    assert (exit.value.code, capsys.readouterr().out) == (0, f"sde_jax {__version__}\n")
