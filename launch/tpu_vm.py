"""Make a Cloud TPU, run a command on all its hosts, look at it, and delete it, by `gcloud`.

    python launch/tpu_vm.py create ffhq --zone us-central1-a --type v5litepod-64 --version v2-alpha-tpuv5-lite --spot
    python launch/tpu_vm.py run ffhq --zone us-central1-a -- train --config configs/... --workdir /mnt/runs/ffhq
    python launch/tpu_vm.py status ffhq --zone us-central1-a
    python launch/tpu_vm.py stop ffhq --zone us-central1-a
    python launch/tpu_vm.py delete ffhq --zone us-central1-a

With `--queued`, `create`, `status` and `delete` speak of a queued resource of the same name, which waits for its TPU.
`run` copies the committed files, or clones `--repository`, installs them with the locked versions on every host, and
starts the command there with `--distributed`, out of the terminal's reach: `launch/local.py` keeps it going, its output
is in sde_jax/run.log. `--dry_run` prints the commands and runs none.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

ARCHIVE = "build/sde_jax.tar.gz"
INSTALL = (
    "cd sde_jax",
    "python3 -m pip install --user --quiet 'uv>=0.5'",
    "~/.local/bin/uv python install --quiet 3.11",
    'make PYTHON="$(~/.local/bin/uv python find 3.11)" .venv/.installed',
    ".venv/bin/uv pip install --quiet -r launch/requirements-tpu.lock",
)
UNPACK = (
    "mkdir -p sde_jax",
    "rm -rf sde_jax/sde_jax sde_jax/configs sde_jax/launch",  # what was there before; runs and the environment stay
    "tar -xzf sde_jax.tar.gz -C sde_jax",
)
BUSY = 'if kill -0 "$(cat run.pid 2>/dev/null)" 2>/dev/null; then echo "a command runs here already"; exit 1; fi'

Command = list[str]


def create(flags: argparse.Namespace) -> list[Command]:
    """Return the commands that ask for a TPU."""
    kind = [f"--accelerator-type={flags.type}"]
    spot = ["--spot"] if flags.spot else []
    if flags.queued:
        node = [f"--node-id={flags.name}", f"--runtime-version={flags.version}"]
        return [_gcloud("queued-resources", "create", flags, *node, *kind, *spot)]
    return [_gcloud("tpu-vm", "create", flags, f"--version={flags.version}", *kind, *spot)]


def run(flags: argparse.Namespace) -> list[Command]:
    """Return the commands that bring the files, install them, and start the command on every host."""
    if flags.repository:
        url, ref = shlex.quote(flags.repository), shlex.quote(flags.ref)
        bring = [
            _ssh(
                flags,
                f"{{ [ -d sde_jax/.git ] || git clone --quiet {url} sde_jax; }}",
                f"git -C sde_jax fetch --quiet {url} {ref}",
                "git -C sde_jax checkout --quiet --detach FETCH_HEAD",
            )
        ]
    else:
        bring = [
            ["mkdir", "-p", "build"],
            ["git", "archive", "--format=tar.gz", f"--output={ARCHIVE}", flags.ref],
            _gcloud(
                "tpu-vm",
                "scp",
                flags,
                "--worker=all",
                *_internal(flags),
                names=[ARCHIVE, f"{flags.name}:sde_jax.tar.gz"],
            ),
            _ssh(flags, *UNPACK),
        ]
    distributed = [] if "--distributed" in flags.command else ["--distributed"]
    local = [".venv/bin/python", "launch/local.py", "--restarts", str(flags.restarts), "--"]
    start = (
        f"nohup {shlex.join([*local, *flags.command, *distributed])} >> run.log 2>&1 < /dev/null & echo $! > run.pid"
    )
    return [*bring, _ssh(flags, *INSTALL, *flags.setup), _ssh(flags, "cd sde_jax", BUSY, start)]


def status(flags: argparse.Namespace) -> list[Command]:
    """Return the commands that tell the state of the TPU, and the end of every host's log."""
    states = [_gcloud("queued-resources", "describe", flags, "--format=value(state.state)")] if flags.queued else []
    node = _gcloud("tpu-vm", "describe", flags, "--format=value(state,health)")
    return [*states, node, _ssh(flags, "hostname", "tail -n 5 sde_jax/run.log")]


def stop(flags: argparse.Namespace) -> list[Command]:
    """Return the command that tells the run to save and to end."""
    return [_ssh(flags, 'kill -TERM "$(cat sde_jax/run.pid)"')]


def delete(flags: argparse.Namespace) -> list[Command]:
    """Return the command that gives the TPU back."""
    if flags.queued:
        return [_gcloud("queued-resources", "delete", flags, "--force", "--quiet")]
    return [_gcloud("tpu-vm", "delete", flags, "--quiet")]


def _gcloud(group: str, verb: str, flags: argparse.Namespace, *more: str, names: Sequence[str] = ()) -> Command:
    project = [f"--project={flags.project}"] if flags.project else []
    where = [*(names or [flags.name]), f"--zone={flags.zone}", *project]
    return ["gcloud", "compute", "tpus", group, verb, *where, *more]


def _ssh(flags: argparse.Namespace, *lines: str) -> Command:
    return _gcloud(
        "tpu-vm", "ssh", flags, "--worker=all", *_internal(flags), f"--command={'; '.join(('set -e', *lines))}"
    )


def _internal(flags: argparse.Namespace) -> list[str]:
    return ["--internal-ip"] if flags.internal_ip else []


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code: that of the first command that failed, 2 where none could run."""
    given = list(sys.argv[1:] if argv is None else argv)
    end = given.index("--") if "--" in given else len(given)
    parser = _parser()
    flags = parser.parse_args(given[:end])
    flags.command = given[end + 1 :]
    if (flags.verb is run) != bool(flags.command):
        parser.error(f"{'nothing to run: ' if flags.verb is run else ''}a command after -- is expected by `run` alone")
    commands = flags.verb(flags)
    if flags.dry_run:
        print("\n".join(map(shlex.join, commands)))
        return 0
    if shutil.which("gcloud") is None:
        parser.exit(2, "tpu_vm: gcloud is not here; install the Google Cloud CLI, or look with --dry_run\n")
    for command in commands:
        code = subprocess.run(command).returncode
        if code:
            print(f"tpu_vm: exit code {code} of: {shlex.join(command)}", file=sys.stderr)
            return code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tpu_vm", description="Cloud TPUs by gcloud.", allow_abbrev=False)
    verbs = parser.add_subparsers(required=True, metavar="create | run | status | stop | delete")
    for verb in (create, run, status, stop, delete):
        purpose = (verb.__doc__ or "").splitlines()[0]
        flags = verbs.add_parser(verb.__name__, description=purpose, allow_abbrev=False)
        flags.set_defaults(verb=verb)
        flags.add_argument("name", type=_name)
        flags.add_argument("--zone", type=_zone, required=True)
        flags.add_argument("--project", type=_project)
        flags.add_argument("--dry_run", action="store_true", help="print the commands, run none")
        if verb in (create, status, delete):
            flags.add_argument("--queued", action="store_true", help="a queued resource")
        if verb in (run, status, stop):
            flags.add_argument("--internal_ip", action="store_true", help="reach the hosts by internal addresses")
        if verb is create:
            flags.add_argument("--type", type=_type, required=True, help="like v5litepod-64 or v6e-16")
            flags.add_argument("--version", type=_version, required=True, help="of the software of the hosts")
            flags.add_argument("--spot", action="store_true", help="cheaper, and may be taken away at any time")
        if verb is run:
            flags.add_argument("--repository", help="cloned by the hosts; without it, the committed files are copied")
            flags.add_argument("--ref", type=_ref, default="HEAD", help="the commit; default HEAD")
            flags.add_argument("--restarts", type=_natural, default=5, help="starts after a fault, on every host")
            setup = "a line of shell for every host, before the command starts; may be repeated"
            flags.add_argument("--setup", action="append", default=[], help=setup)
    return parser


def _name(text: str) -> str:
    return _matching(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?", text, "lower-case letters, digits and '-'")


def _zone(text: str) -> str:
    return _matching(r"[a-z]+-[a-z]+\d+-[a-z]", text, "a zone, like us-central1-a")


def _project(text: str) -> str:
    return _matching(r"([a-z0-9.-]+:)?[a-z][a-z0-9-]{4,28}[a-z0-9]", text, "the id of a project")


def _type(text: str) -> str:
    return _matching(r"v\d+[a-z]*-\d+", text, "a type, like v5litepod-64")


def _version(text: str) -> str:
    return _matching(r"[a-z0-9][a-z0-9.-]*", text, "a version, like v2-alpha-tpuv5-lite")


def _ref(text: str) -> str:
    return _matching(r"[A-Za-z0-9][\w./-]*", text, "a branch, tag or commit")


def _natural(text: str) -> int:
    return int(_matching(r"\d{1,6}", text, "a whole number"))


def _matching(pattern: str, text: str, expected: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
    return text


if __name__ == "__main__":
    sys.exit(main())
