"""Render a JobSet that runs a command on every host of a TPU slice of a GKE cluster.

    python launch/gke.py --name ffhq --image REGION-docker.pkg.dev/PROJECT/images/sde-jax:1 --claim runs \\
        --accelerator tpu-v5-lite-podslice --topology 8x8 \\
        -- train --config configs/ve/ffhq_ncsnpp_continuous.py --workdir /runs/ffhq > ffhq.yaml
    kubectl apply -f ffhq.yaml

One job, one pod a host, all chips of the host each. GKE tells the pods of a slice about each other, and `--distributed`
reads that. The persistent volume claim `--claim` is mounted at /runs in every pod.

All pods of the job are placed on one slice, and no other job on it (`EXCLUSIVE`). A TPU's driver locks more memory than
containers may: the container starts as root, with no capabilities but those it needs to raise that limit and to become
`--user`, under which the command then runs.

Exit codes. A pod that leaves with 2 or 3 fails its job by `podFailurePolicy`, and the rule on that reason fails the
JobSet. Any other failure, 75 and 76 among them, fails the job by its `backoffLimit` of 0, and the JobSet is made anew
(all pods, after the old ones are gone), `--restarts` times. On eviction a pod has `--grace` seconds to save.
"""

import argparse
import math
import re
import sys
from collections.abc import Sequence
from typing import Any

import yaml

CONTAINER = "sde-jax"
EXCLUSIVE = {"alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"}
"""The annotation by which all pods of a job go to one node pool, which is one slice, and no other job's do."""
LOCKED_KIB = 68719476736
"""The limit of locked memory: 64 TiB, more than there is."""
START = 'ulimit -l {locked} && exec setpriv --reuid={user} --regid={user} --groups={user} -- sde-jax "$@"'
FINAL = [2, 3]
"""The exit codes after which the same command would end in the same way."""


def jobset(flags: argparse.Namespace, arguments: list[str]) -> dict[str, Any]:
    """Return the JobSet as plain values."""
    rule = {"name": "final", "action": "FailJobSet", "onJobFailureReasons": ["PodFailurePolicy"]}
    policy = {"maxRestarts": flags.restarts, "restartStrategy": "BlockingRecreate", "rules": [rule]}
    hosts = _chips(flags.topology) // flags.chips_per_host
    job = {"name": "workers", "replicas": 1, "template": {"spec": _job(flags, hosts, arguments)}}
    return {
        "apiVersion": "jobset.x-k8s.io/v1alpha2",
        "kind": "JobSet",
        "metadata": {"name": flags.name, "namespace": flags.namespace, "annotations": EXCLUSIVE},
        "spec": {"failurePolicy": policy, "replicatedJobs": [job]},
    }


def _job(flags: argparse.Namespace, hosts: int, arguments: list[str]) -> dict[str, Any]:
    final = {"containerName": CONTAINER, "operator": "In", "values": FINAL}
    return {
        "parallelism": hosts,
        "completions": hosts,
        "completionMode": "Indexed",
        "backoffLimit": 0,
        "podFailurePolicy": {"rules": [{"action": "FailJob", "onExitCodes": final}]},
        "template": {"spec": _pod(flags, arguments)},
    }


def _pod(flags: argparse.Namespace, arguments: list[str]) -> dict[str, Any]:
    chips = {"google.com/tpu": flags.chips_per_host}
    container = {
        "name": CONTAINER,
        "image": flags.image,
        "command": ["/bin/sh", "-c", _literal(START.format(locked=LOCKED_KIB, user=flags.user)), "sde-jax"],
        "args": [_literal(argument) for argument in arguments],
        "securityContext": {"capabilities": {"drop": ["ALL"], "add": ["SYS_RESOURCE", "SETUID", "SETGID"]}},
        "env": [{"name": "XDG_CACHE_HOME", "value": "/runs/.cache"}],
        "resources": {"requests": chips, "limits": chips},
        "volumeMounts": [{"name": "runs", "mountPath": "/runs"}],
    }
    selector = {
        "cloud.google.com/gke-tpu-accelerator": flags.accelerator,
        "cloud.google.com/gke-tpu-topology": flags.topology,
        **({"cloud.google.com/gke-spot": "true"} if flags.spot else {}),
    }
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": flags.grace,
        "securityContext": {"runAsUser": 0, "fsGroup": flags.user},
        "nodeSelector": selector,
        "containers": [container],
        "volumes": [{"name": "runs", "persistentVolumeClaim": {"claimName": flags.claim}}],
    }


def _literal(text: str) -> str:
    """Return what Kubernetes, which replaces $(NAME) and reads $$ as one $, turns into this text."""
    return text.replace("$", "$$")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    end = given.index("--") if "--" in given else len(given)
    parser = _parser()
    flags, arguments = parser.parse_args(given[:end]), given[end + 1 :]
    if not arguments:
        parser.error("nothing to run: expected a command after --, like -- train --config ... --workdir /runs/...")
    if _chips(flags.topology) % flags.chips_per_host:
        parser.error(f"--chips_per_host {flags.chips_per_host}: does not divide the chips of {flags.topology}")
    if "--distributed" not in arguments:
        arguments = [*arguments, "--distributed"]
    yaml.dump(jobset(flags, arguments), sys.stdout, Dumper=_Dumper, sort_keys=False, width=120)
    return 0


class _Dumper(yaml.SafeDumper):
    """Writes what the YAML of Kubernetes reads as it was: that takes 1e-4 for a number and y for true."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return whether a value is written out wherever it occurs: all are."""
        return True

    def represent_scalar(self, tag: str, value: Any, style: str | None = None) -> yaml.ScalarNode:
        """Return a scalar; strings that begin like a number and single letters are quoted."""
        if tag.endswith(":str") and re.match(r"[-+.]?\d|.?$", value):
            style = '"'
        return super().represent_scalar(tag, value, style)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Render a JobSet for a TPU slice of GKE.",
        usage="python launch/gke.py [flags] -- COMMAND ... > FILE",
        allow_abbrev=False,
    )
    parser.add_argument("--name", type=_name, required=True)
    parser.add_argument("--namespace", type=_name, default="default")
    parser.add_argument("--image", type=_image, required=True, help="of launch/Dockerfile, for tpu")
    parser.add_argument("--claim", type=_name, required=True, help="a volume that many nodes can write (ReadWriteMany)")
    parser.add_argument("--accelerator", type=_name, required=True, help="like tpu-v5-lite-podslice or tpu-v6e-slice")
    parser.add_argument("--topology", type=_topology, required=True, help="like 4x4 or 2x2x4")
    parser.add_argument("--chips_per_host", type=_count, default=4)
    parser.add_argument("--spot", action="store_true", help="nodes that may be taken away at any time")
    parser.add_argument("--restarts", type=_natural, default=100)
    parser.add_argument("--user", type=_natural, default=1000, help="under whom the command runs; 1000, the image's")
    parser.add_argument("--grace", type=_count, default=300, help="seconds to save in, on eviction; default 300")
    return parser


def _chips(topology: str) -> int:
    return math.prod(map(int, topology.split("x")))


def _name(text: str) -> str:
    # With "-workers-0-" and a pod's number it must be a label of DNS, of 63 characters.
    return _matching(r"[a-z]([a-z0-9-]{0,40}[a-z0-9])?", text, "lower-case letters, digits and '-', at most 42")


def _image(text: str) -> str:
    return _matching(r"[a-z0-9][\w./:@-]*", text, "the reference of an image")


def _topology(text: str) -> str:
    return _matching(r"[1-9]\d?(x[1-9]\d?){1,2}", text, "a topology, like 4x4 or 2x2x4")


def _count(text: str) -> int:
    return int(_matching(r"[1-9]\d{0,5}", text, "a whole number from 1"))


def _natural(text: str) -> int:
    return int(_matching(r"\d{1,6}", text, "a whole number"))


def _matching(pattern: str, text: str, expected: str) -> str:
    if not re.fullmatch(pattern, text, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {expected}")
    return text


if __name__ == "__main__":
    sys.exit(main())
