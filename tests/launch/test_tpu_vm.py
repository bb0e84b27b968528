"""`gcloud` is played by a program that runs what it should run on the hosts in a folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time

import pytest

from launch import tpu_vm

ZONE = ["--zone", "us-central1-a"]
INSTALL = (
    "--command=set -e; cd sde_jax; python3 -m pip install --user --quiet 'uv>=0.5'; "
    "~/.local/bin/uv python install --quiet 3.11; "
    'make PYTHON="$(~/.local/bin/uv python find 3.11)" .venv/.installed; '
    ".venv/bin/uv pip install --quiet -r launch/requirements-tpu.lock"
)
START = (
    '--command=set -e; cd sde_jax; if kill -0 "$(cat run.pid 2>/dev/null)" 2>/dev/null; '
    'then echo "a command runs here already"; exit 1; fi; '
    "nohup .venv/bin/python launch/local.py --restarts {} -- {} >> run.log 2>&1 < /dev/null & echo $! > run.pid"
)
TPU = "gcloud compute tpus"
DRY_RUNS = {
    "create": (
        [
            "create",
            "ffhq",
            *ZONE,
            "--type",
            "v5litepod-64",
            "--version",
            "v2-alpha-tpuv5-lite",
            "--project",
            "my-project",
        ],
        [
            f"{TPU} tpu-vm create ffhq --zone=us-central1-a --project=my-project "
            "--version=v2-alpha-tpuv5-lite --accelerator-type=v5litepod-64"
        ],
    ),
    "create queued": (
        ["create", "ffhq", *ZONE, "--type", "v6e-16", "--version", "v2-alpha-tpuv6e", "--queued", "--spot"],
        [
            f"{TPU} queued-resources create ffhq --zone=us-central1-a --node-id=ffhq "
            "--runtime-version=v2-alpha-tpuv6e --accelerator-type=v6e-16 --spot"
        ],
    ),
    "run": (
        ["run", "ffhq", *ZONE, "--setup", "df -h", "--", "train", "--config", "a b.py", "--workdir", "/mnt/ffhq"],
        [
            "mkdir -p build",
            "git archive --format=tar.gz --output=build/sde_jax.tar.gz HEAD",
            f"{TPU} tpu-vm scp build/sde_jax.tar.gz ffhq:sde_jax.tar.gz --zone=us-central1-a --worker=all",
            f"{TPU} tpu-vm ssh ffhq --zone=us-central1-a --worker=all '--command=set -e; mkdir -p sde_jax; "
            "rm -rf sde_jax/sde_jax sde_jax/configs sde_jax/launch; tar -xzf sde_jax.tar.gz -C sde_jax'",
            f"{TPU} tpu-vm ssh ffhq --zone=us-central1-a --worker=all {shlex.quote(INSTALL + '; df -h')}",
            f"{TPU} tpu-vm ssh ffhq --zone=us-central1-a --worker=all "
            + shlex.quote(START.format(5, "train --config 'a b.py' --workdir /mnt/ffhq --distributed")),
        ],
    ),
    "run a clone": (
        [
            *["run", "ffhq", *ZONE, "--internal_ip", "--repository", "https://example.org/sde_jax", "--ref", "main"],
            *["--restarts", "0", "--", "sample", "--distributed"],
        ],
        [
            f"{TPU} tpu-vm ssh ffhq --zone=us-central1-a --worker=all --internal-ip '--command=set -e; "
            "{ [ -d sde_jax/.git ] || git clone --quiet https://example.org/sde_jax sde_jax; }; "
            "git -C sde_jax fetch --quiet https://example.org/sde_jax main; "
            "git -C sde_jax checkout --quiet --detach FETCH_HEAD'",
            f"{TPU} tpu-vm ssh ffhq --zone=us-central1-a --worker=all --internal-ip {shlex.quote(INSTALL)}",
            f"{TPU} tpu-vm ssh ffhq --zone=us-central1-a --worker=all --internal-ip "
            + shlex.quote(START.format(0, "sample --distributed")),
        ],
    ),
    "status": (
        ["status", "ffhq", *ZONE, "--queued"],
        [
            f"{TPU} queued-resources describe ffhq --zone=us-central1-a '--format=value(state.state)'",
            f"{TPU} tpu-vm describe ffhq --zone=us-central1-a '--format=value(state,health)'",
            f"{TPU} tpu-vm ssh ffhq --zone=us-central1-a --worker=all "
            "'--command=set -e; hostname; tail -n 5 sde_jax/run.log'",
        ],
    ),
    "stop": (
        ["stop", "ffhq", *ZONE],
        [
            f"{TPU} tpu-vm ssh ffhq --zone=us-central1-a --worker=all "
            """'--command=set -e; kill -TERM "$(cat sde_jax/run.pid)"'"""
        ],
    ),
    "delete": (["delete", "ffhq", *ZONE], [f"{TPU} tpu-vm delete ffhq --zone=us-central1-a --quiet"]),
    "delete queued": (
        ["delete", "ffhq", *ZONE, "--queued"],
        [f"{TPU} queued-resources delete ffhq --zone=us-central1-a --force --quiet"],
    ),
}

GCLOUD = """#!/bin/bash
cd "$HOST" && export HOME="$HOST"
for argument; do
  case "$argument" in
    --command=*) exec bash -c "${argument#--command=}" ;;
    build/*) cp "$REPOSITORY/$argument" sde_jax.tar.gz ;;
  esac
done
"""


@pytest.fixture
def dry_run(capsys):
    def lines(arguments: list[str]) -> list[str]:
        assert tpu_vm.main([arguments[0], "--dry_run", *arguments[1:]]) == 0
        return capsys.readouterr().out.splitlines()

    return lines


@pytest.fixture
def host(tmp_path, monkeypatch, repository):
    """The home of the one host of a TPU, on which `make` and `uv` do nothing but leave an environment."""
    home, programs = tmp_path / "host", tmp_path / "bin"
    python = f'#!/bin/bash\\nexec {sys.executable} "$@"\\n'
    installed = (
        f"#!/bin/bash\nmkdir -p .venv/bin && ln -sf /bin/true .venv/bin/uv\n"
        f"printf '{python}' > .venv/bin/python && chmod +x .venv/bin/python\n"
    )
    pip = "#!/bin/bash\nmkdir -p ~/.local/bin && ln -sf /bin/true ~/.local/bin/uv"
    programs.mkdir()
    home.mkdir()
    for name, text in (("gcloud", GCLOUD), ("make", installed), ("python3", pip)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("HOST", str(home))
    monkeypatch.setenv("REPOSITORY", str(repository))
    monkeypatch.chdir(repository)
    return home


@pytest.mark.parametrize("name", DRY_RUNS)
def test_a_dry_run_prints_the_commands_and_nothing_else(dry_run, name):
    arguments, commands = DRY_RUNS[name]
    assert dry_run(arguments) == commands


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="shellcheck is not here")
@pytest.mark.parametrize("name", DRY_RUNS)
def test_what_the_hosts_run_is_bash_without_a_warning(name):
    words = [shlex.split(line) for line in DRY_RUNS[name][1]]
    scripts = [word.removeprefix("--command=") for line in words for word in line if word.startswith("--command=")]
    for script in scripts:
        checked = subprocess.run(["shellcheck", "--shell=bash", "-"], input=script, capture_output=True, text=True)
        assert checked.returncode == 0, checked.stdout


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="gcloud is not here")
def test_gcloud_understands_every_command_and_wants_an_account(tmp_path):
    environment = {
        **{"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path)},
        **{"CLOUDSDK_CORE_DISABLE_PROMPTS": "1", "CLOUDSDK_CORE_CHECK_GCE_METADATA": "false"},
        "CLOUDSDK_CORE_PROJECT": "no-project",
    }
    commands = {line for _, lines in DRY_RUNS.values() for line in lines if line.startswith("gcloud")}
    for command in commands:
        ended = subprocess.run(shlex.split(command), capture_output=True, text=True, env=environment, timeout=900)
        assert "You do not currently have an active account selected" in ended.stderr, ended.stderr


def test_a_run_starts_on_the_host_and_outlives_the_connection(host):
    if subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True).returncode:
        pytest.skip("this is no git repository")
    assert tpu_vm.main(["run", "ffhq", *ZONE, "--", "no-such-command"]) == 0
    log, deadline = host / "sde_jax" / "run.log", time.monotonic() + 900
    while not (log.exists() and "sde-jax:" in log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert re.search(r"^\[0\] sde-jax: .*'no-such-command'", log.read_text(), re.M)


def test_a_host_is_given_one_command_at_a_time_and_stop_ends_it(host, capfd):
    with subprocess.Popen(["sleep", "60"]) as running:
        (host / "sde_jax").mkdir()
        (host / "sde_jax" / "run.pid").write_text(f"{running.pid}\n")
        *_, start = tpu_vm.run(_flags("run", "--", "train"))
        assert subprocess.run(start).returncode == 1
        assert "a command runs here already" in capfd.readouterr().out
        assert tpu_vm.main(["stop", "ffhq", *ZONE]) == 0
        assert running.wait(timeout=900) == -15


def test_the_first_command_that_fails_is_told_and_ends_it(host, capfd):
    assert tpu_vm.main(["status", "ffhq", *ZONE]) == 1
    assert "tpu_vm: exit code 1 of: gcloud compute tpus tpu-vm ssh" in capfd.readouterr().err


def test_without_gcloud_it_says_so_in_a_line(monkeypatch, capsys):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit) as exit:
        tpu_vm.main(["delete", "ffhq", *ZONE])
    assert exit.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "tpu_vm: gcloud is not here; install the Google Cloud CLI, or look with --dry_run"
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["delete", "Ffhq", *ZONE], "'Ffhq': expected lower-case letters"),
        (["delete", "ffhq;rm", *ZONE], "'ffhq;rm': expected lower-case letters"),
        (["delete", "ffhq", "--zone", "us-central1"], "'us-central1': expected a zone"),
        (["create", "ffhq", *ZONE, "--type", "v5e", "--version", "v2"], "'v5e': expected a type"),
        (["run", "ffhq", *ZONE, "--ref", "--output=x", "--", "train"], "--ref"),
        (["run", "ffhq", *ZONE], "nothing to run: a command after -- is expected"),
        (["stop", "ffhq", *ZONE, "--", "train"], "a command after -- is expected by `run` alone"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(capsys, arguments, said):
    with pytest.raises(SystemExit) as exit:
        tpu_vm.main(arguments)
    assert exit.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def _flags(verb: str, *arguments: str):
    flags = tpu_vm._parser().parse_args([verb, "ffhq", *ZONE])
    flags.command = list(arguments[1:])
    return flags
