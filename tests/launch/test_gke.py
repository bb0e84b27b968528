"""The part of the JobSet, Job and Pod schemas that is rendered, strictly: what is not stated here is refused.

Written from the types of jobset.x-k8s.io/v1alpha2, batch/v1 and v1.
"""

# ruff: noqa: N815 (the names of the fields are theirs)

import re
import subprocess
from typing import Annotated, Any, Literal, Self

import pytest
import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from launch import gke
from sde_jax import processes

Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
Count = Annotated[int, Field(ge=0, lt=2**31)]
RuleName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
Chips = dict[Literal["google.com/tpu"], Annotated[int, Field(ge=1)]]


class Strict(BaseModel):
    """Knows its keys, and turns no value into one of another type."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Metadata(Strict):
    name: Label
    namespace: Label
    annotations: dict[str, str]


class EnvVar(Strict):
    name: str
    value: str


class ResourceRequirements(Strict):
    requests: Chips
    limits: Chips

    @model_validator(mode="after")
    def extended_resources_cannot_be_overcommitted(self) -> Self:
        assert self.requests == self.limits
        return self


class VolumeMount(Strict):
    name: Label
    mountPath: Annotated[str, StringConstraints(pattern="^/")]


class Capabilities(Strict):
    add: list[str]
    drop: list[str]


class SecurityContext(Strict):
    capabilities: Capabilities


class Container(Strict):
    name: Label
    image: str
    command: list[str]
    args: list[str]
    securityContext: SecurityContext
    env: list[EnvVar]
    resources: ResourceRequirements
    volumeMounts: list[VolumeMount]


class PersistentVolumeClaim(Strict):
    claimName: Label


class Volume(Strict):
    name: Label
    persistentVolumeClaim: PersistentVolumeClaim


class PodSecurityContext(Strict):
    runAsUser: Count
    fsGroup: Count


class PodSpec(Strict):
    restartPolicy: Literal["Never", "OnFailure"]
    terminationGracePeriodSeconds: Count
    securityContext: PodSecurityContext
    nodeSelector: dict[str, str]
    containers: Annotated[list[Container], Field(min_length=1)]
    volumes: list[Volume]

    @model_validator(mode="after")
    def every_mount_has_its_volume(self) -> Self:
        mounted = {mount.name for container in self.containers for mount in container.volumeMounts}
        assert mounted == {volume.name for volume in self.volumes}
        return self


class PodTemplateSpec(Strict):
    spec: PodSpec


class OnExitCodes(Strict):
    containerName: Label | None = None
    operator: Literal["In", "NotIn"]
    values: Annotated[list[Annotated[int, Field(ge=0, le=255)]], Field(min_length=1, max_length=255)]

    @model_validator(mode="after")
    def codes_are_ordered_once_each_and_in_has_no_zero(self) -> Self:
        assert self.values == sorted(set(self.values))
        assert self.operator == "NotIn" or 0 not in self.values
        return self


class PodFailurePolicyRule(Strict):
    action: Literal["FailJob", "FailIndex", "Ignore", "Count"]
    onExitCodes: OnExitCodes


class PodFailurePolicy(Strict):
    rules: Annotated[list[PodFailurePolicyRule], Field(max_length=20)]


class JobSpec(Strict):
    parallelism: Count
    completions: Count
    completionMode: Literal["NonIndexed", "Indexed"]
    backoffLimit: Count
    podFailurePolicy: PodFailurePolicy
    template: PodTemplateSpec

    @model_validator(mode="after")
    def a_pod_failure_policy_wants_pods_that_are_not_restarted(self) -> Self:
        assert self.template.spec.restartPolicy == "Never"
        containers = {container.name for container in self.template.spec.containers}
        assert {rule.onExitCodes.containerName for rule in self.podFailurePolicy.rules} <= containers | {None}
        return self


class JobTemplateSpec(Strict):
    spec: JobSpec


class ReplicatedJob(Strict):
    name: Label
    replicas: Count
    template: JobTemplateSpec


class FailurePolicyRule(Strict):
    name: RuleName
    action: Literal["FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"]
    onJobFailureReasons: list[
        Literal[
            "BackoffLimitExceeded", "DeadlineExceeded", "FailedIndexes", "MaxFailedIndexesExceeded", "PodFailurePolicy"
        ]
    ]


class FailurePolicy(Strict):
    maxRestarts: Count
    restartStrategy: Literal["Recreate", "BlockingRecreate"]
    rules: list[FailurePolicyRule]


class JobSetSpec(Strict):
    failurePolicy: FailurePolicy
    replicatedJobs: list[ReplicatedJob]


class JobSet(Strict):
    apiVersion: Literal["jobset.x-k8s.io/v1alpha2"]
    kind: Literal["JobSet"]
    metadata: Metadata
    spec: JobSetSpec

    @model_validator(mode="after")
    def names_of_pods_are_labels(self) -> Self:
        for job in self.spec.replicatedJobs:
            hosts = job.template.spec.completions
            assert len(f"{self.metadata.name}-{job.name}-{job.replicas}-{hosts}-abcde") <= 63
        return self


FLAGS = [
    "--name",
    "ffhq",
    "--image",
    "r.example/p/sde-jax:1",
    "--claim",
    "runs",
    "--accelerator",
    "tpu-v5-lite-podslice",
]
TRAIN = ["--", "train", "--config", "configs/digits_vp.py", "--workdir", "/runs/ffhq"]


@pytest.fixture
def render(capsys):
    def text(*arguments: str) -> str:
        assert gke.main([*FLAGS, *arguments]) == 0
        return capsys.readouterr().out

    return text


@pytest.fixture
def plain(render) -> dict[str, Any]:
    return yaml.safe_load(render("--topology", "8x8", *TRAIN))


def pod(jobset: JobSet) -> PodSpec:
    return jobset.spec.replicatedJobs[0].template.spec.template.spec


@pytest.mark.parametrize(
    ("topology", "chips_per_host", "hosts"), [("8x8", 4, 16), ("2x4", 8, 1), ("4x4x8", 4, 32), ("1x1", 1, 1)]
)
def test_a_slice_has_one_pod_a_host(render, topology, chips_per_host, hosts):
    text = render("--topology", topology, "--chips_per_host", str(chips_per_host), "--spot", *TRAIN)
    jobset = JobSet.model_validate(yaml.safe_load(text))
    job = jobset.spec.replicatedJobs[0].template.spec
    assert (job.parallelism, job.completions, job.completionMode) == (hosts, hosts, "Indexed")
    assert pod(jobset).containers[0].resources.limits == {"google.com/tpu": chips_per_host}
    assert pod(jobset).nodeSelector == {
        "cloud.google.com/gke-tpu-accelerator": "tpu-v5-lite-podslice",
        "cloud.google.com/gke-tpu-topology": topology,
        "cloud.google.com/gke-spot": "true",
    }


def test_codes_2_and_3_fail_the_jobset_and_all_others_restart_it(plain):
    jobset = JobSet.model_validate(plain)
    job = jobset.spec.replicatedJobs[0].template.spec
    final = [rule.onExitCodes.values for rule in job.podFailurePolicy.rules if rule.action == "FailJob"]
    assert final == [[2, 3]]
    assert processes.INTERRUPTED not in final[0]
    assert job.backoffLimit == 0
    rules = [(rule.action, rule.onJobFailureReasons) for rule in jobset.spec.failurePolicy.rules]
    assert rules == [("FailJobSet", ["PodFailurePolicy"])]
    assert jobset.spec.failurePolicy.maxRestarts == 100
    assert jobset.spec.failurePolicy.restartStrategy == "BlockingRecreate"


def test_the_command_reaches_the_container_as_it_is(render):
    odd = ["1e-4", "y", "on", "0x1f", "12:30:00", "", "null", "a: b", "it's", "$(HOME)", "-1", "~", "#"]
    text = render("--topology", "2x2", "--", "train", *odd)
    args = pod(JobSet.model_validate(yaml.safe_load(text))).containers[0].args
    assert [expanded(arg, {}) for arg in args] == ["train", *odd, "--distributed"]
    for word in ("1e-4", "y", "0x1f", "12:30:00", "-1"):  # plain, these are no strings in the YAML of Kubernetes
        assert f'- "{word}"' in text


def test_distributed_is_said_once(render):
    text = render("--topology", "2x2", "--", "train", "--distributed")
    assert pod(JobSet.model_validate(yaml.safe_load(text))).containers[0].args == ["train", "--distributed"]


def expanded(text: str, variables: dict[str, str]) -> str:
    """What Kubernetes makes of an entry of `command` or `args`, by its documentation: $(NAME) and $$."""
    return re.sub(r"\$\$|\$\((\w+)\)", lambda m: "$" if m[0] == "$$" else variables.get(m[1], m[0]), text)


@pytest.mark.parametrize(
    "word", ["$(HOME)", "$$(HOME)", "$$", "$", "a$b", "$(", "--config.data.path=/runs/$(POD_NAME)/$x"]
)
def test_kubernetes_gives_the_command_every_word_as_it_was_typed(render, word):
    text = render("--topology", "2x2", "--", "train", word)
    args = pod(JobSet.model_validate(yaml.safe_load(text))).containers[0].args
    given = [expanded(arg, {"HOME": "/root", "POD_NAME": "ffhq-0"}) for arg in args]
    assert given == ["train", word, "--distributed"]


def test_all_pods_of_a_job_share_one_slice_with_no_other(plain):
    annotations = JobSet.model_validate(plain).metadata.annotations
    assert annotations == {"alpha.jobset.sigs.k8s.io/exclusive-topology": "cloud.google.com/gke-nodepool"}


def test_the_limit_of_locked_memory_is_raised_by_root_and_the_command_runs_as_the_user(render):
    found = pod(JobSet.model_validate(yaml.safe_load(render("--topology", "2x2", "--user", "1234", *TRAIN))))
    container, context = found.containers[0], found.containers[0].securityContext.capabilities
    assert (found.securityContext.runAsUser, found.securityContext.fsGroup) == (0, 1234)
    assert (context.drop, context.add) == (["ALL"], ["SYS_RESOURCE", "SETUID", "SETGID"])
    shell, flag, script, name = (expanded(word, {}) for word in container.command)
    told = 'setpriv() { echo setpriv "$@"; }; ulimit() { echo ulimit "$@"; }\n'
    outcome = subprocess.run(
        [shell, flag, told + script.replace("exec ", ""), name, "train", "a b"],
        capture_output=True,
        text=True,
        check=True,
    )
    limit, command = outcome.stdout.splitlines()
    assert limit == "ulimit -l 68719476736"
    assert command == "setpriv --reuid=1234 --regid=1234 --groups=1234 -- sde-jax train a b"


def _paths(value: Any, path: tuple = ()) -> list[tuple]:
    if isinstance(value, list):
        return [p for index, item in enumerate(value) for p in _paths(item, (*path, index))]
    if not isinstance(value, dict):
        return []
    return [path, *(p for name, item in value.items() for p in _paths(item, (*path, name)))]


def test_the_schema_refuses_an_unknown_key_anywhere(render):
    text = render("--topology", "8x8", *TRAIN)
    places = _paths(yaml.safe_load(text))
    assert len(places) > 20
    for path in places:
        changed = value = yaml.safe_load(text)
        for step in path:
            value = value[step]
        value["parallelsim"] = 1
        with pytest.raises(ValidationError):
            JobSet.model_validate(changed)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--topology", "8"], "'8': expected a topology"),
        (["--topology", "2x3", "--chips_per_host", "4"], "does not divide the chips of 2x3"),
        (["--topology", "2x2", "--name", "Ffhq"], "'Ffhq': expected lower-case letters"),
        (["--topology", "2x2", "--name", "a" * 43], "at most 42"),
        (["--topology", "2x2", "--image", "a b"], "'a b': expected the reference of an image"),
    ],
)
def test_a_flag_that_cannot_be_used_is_told_in_one_line(capsys, flags, said):
    with pytest.raises(SystemExit) as exit:
        gke.main([*FLAGS, *flags, *TRAIN])
    assert exit.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]
