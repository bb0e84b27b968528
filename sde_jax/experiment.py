"""The composition root: one typed, validated, JSON-able value that names every part of a run."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sde_jax.codec import decode, encode, nearest
from sde_jax.data import Dataset, Digits
from sde_jax.errors import InputError
from sde_jax.features import Features, Raw
from sde_jax.likelihood import Dequantizer, Divergence, Hutchinson, UniformCell
from sde_jax.metrics import Energy, Frechet, Metric, SlicedWasserstein
from sde_jax.nn import MLP, Architecture, Channels, Compute, Vector, condition_of
from sde_jax.objective import Objective as Objective
from sde_jax.ode import Method, Tolerance, Tsit5
from sde_jax.processes import Watchdog
from sde_jax.sampling import PredictorCorrector, ProbabilityFlow
from sde_jax.sampling import Sampler as Sampler
from sde_jax.sde import VP, GaussianPath
from sde_jax.training import (
    Adam,
    Augmentation,
    Average,
    Degradation,
    ExponentialAverage,
    MeshShape,
    NoAugmentation,
    NoDegradation,
    OnAnomaly,
    Preview,
    Stop,
    Symmetry,
    Tracker,
    Untracked,
)


@dataclass(frozen=True)
class Training:
    """How long, and with what.

    steps: updates; batch_size: examples an update, over all devices; flip: mirror images at random; crop: pixels of
    a mirrored margin, from which and the image a window of its size is cut at random; label_dropout: how often a
    network with classes is not told them; augmentation: told to the network; symmetry: of examples with their noise;
    degradation: of examples that the network learns to restore, told to it; mesh: how devices
    share the state; accumulate: parts of a batch whose gradients are summed one after the other; steps_per_call: steps
    that an accelerator makes before the host is asked (a CPU makes one); on_anomaly: what is done when numbers go
    wrong; watchdog: when no step ends for so long that the run must be stuck; log_every, checkpoint_every: in steps;
    keep: how many of the last checkpoints; keep_every: of every so many steps a checkpoint is kept for good, 0 for
    none; preview: samples on the way, every some multiple of `log_every` steps; tracker: the service that follows the
    run. Raises `InputError` where a field is out of range.
    """

    steps: int = 100_000
    batch_size: int = 128
    flip: bool = False
    crop: int = 0
    label_dropout: float = 0.0
    augmentation: Augmentation = field(default_factory=NoAugmentation)
    symmetry: Symmetry = field(default_factory=Symmetry)
    degradation: Degradation = field(default_factory=NoDegradation)
    optimizer: Adam = field(default_factory=Adam)
    average: Average = field(default_factory=ExponentialAverage)
    mesh: MeshShape = field(default_factory=MeshShape)
    accumulate: int = 1
    steps_per_call: int = 1
    on_anomaly: OnAnomaly = field(default_factory=Stop)
    watchdog: Watchdog = field(default_factory=Watchdog)
    log_every: int = 50
    checkpoint_every: int = 10_000
    keep: int = 2
    keep_every: int = 0
    preview: Preview = field(default_factory=Preview)
    tracker: Tracker = field(default_factory=Untracked)

    def __post_init__(self):
        _at_least(
            self, 1, "steps", "batch_size", "accumulate", "steps_per_call", "log_every", "checkpoint_every", "keep"
        )
        _at_least(self, 0, "keep_every", "crop")
        if not 0 <= self.label_dropout < 1:
            raise InputError(f"label_dropout = {self.label_dropout}: expected 0 <= label_dropout < 1")
        if isinstance(self.preview, Preview) and self.preview.every % self.log_every:
            raise InputError(
                f"preview.every = {self.preview.every}: expected a multiple of log_every = {self.log_every}"
            )


@dataclass(frozen=True)
class Scoring:
    """How held-out data are scored in bits per dimension.

    By the probability flow, solved by `solver` to `tolerance`, with the trace of `divergence`; and by the variational
    bound too, from `elbo_strata` pairs of times, where these are not 0. passes: draws of dequantisation and probes for
    every image; batch_size: images at once; start: the time that data are taken to be at. Raises `InputError` where a
    field is out of range.
    """

    divergence: Divergence = field(default_factory=Hutchinson)
    tolerance: Tolerance = field(default_factory=Tolerance)
    solver: Method = field(default_factory=Tsit5)
    dequantizer: Dequantizer = field(default_factory=UniformCell)
    elbo_strata: int = 0
    start: float = 1e-5
    passes: int = 1
    batch_size: int = 128

    def __post_init__(self):
        _at_least(self, 1, "passes", "batch_size")
        _at_least(self, 0, "elbo_strata")
        if not 0 < self.start < 1:
            raise InputError(f"start = {self.start}: expected 0 < start < 1")


def _metrics() -> Mapping[str, Metric]:
    return {"frechet": Frechet(), "sliced_wasserstein": SlicedWasserstein(), "energy": Energy()}


@dataclass(frozen=True)
class Evaluation:
    """How samples and losses are measured.

    features: of examples, which the metrics compare; metrics: by name; samplers: names of those that are measured,
    none: the first; steps: of the grid, each with every one of them, in which `run` measures them, none: it does not;
    num_samples: of each; batch_size: samples or examples at once, over all devices; held_out: whether samples are
    compared with the held-out split, and not with the training split as published FIDs are; neighbours: training
    examples shown beside a sample, 0: none; uniform_labels: whether a network that hears labels draws all
    classes as often, and not as the data have them; loss_draws: times and noises for each held-out example;
    round_size: samples between two looks at whether to write down what has been measured, save_seconds: what must have
    passed since the last time. Raises `InputError` where a field is out of range.
    """

    features: Features = field(default_factory=Raw)
    metrics: Mapping[str, Metric] = field(default_factory=_metrics)
    samplers: tuple[str, ...] = ()
    steps: tuple[int, ...] = ()
    num_samples: int = 1000
    batch_size: int = 64
    held_out: bool = False
    neighbours: int = 4
    uniform_labels: bool = False
    loss_draws: int = 16
    round_size: int = 512
    save_seconds: float = 30.0
    seed: int = 0

    def __post_init__(self):
        _at_least(self, 2, "num_samples")
        _at_least(self, 1, "batch_size", "loss_draws", "round_size")
        if any(count < 1 for count in self.steps):
            raise InputError(f"steps = {self.steps}: expected numbers of steps, 1 or more")
        _at_least(self, 0, "neighbours", "save_seconds")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed = {self.seed}: expected 0 <= seed < 2^32")


def _samplers() -> Mapping[str, Sampler]:
    return {"pc": Sampler(PredictorCorrector()), "ode": Sampler(ProbabilityFlow(), end=1e-5)}


@dataclass(frozen=True)
class Experiment:
    """A run: data, SDE, network and how it is computed, objective, training, samplers, scoring, evaluation, seed.

    data_range: the interval [low, high] whose equal cells the grey levels are, which x_0 is then in. The noise of `sde`
    is relative to it. Raises `InputError` where a field is out of range, and where the objective cannot be had on the
    path.
    """

    data: Dataset = field(default_factory=Digits)
    data_range: tuple[float, float] = (-1.0, 1.0)
    sde: GaussianPath = field(default_factory=VP)
    network: Architecture = field(default_factory=MLP)
    compute: Compute = field(default_factory=Compute)
    objective: Objective = field(default_factory=Objective)
    training: Training = field(default_factory=Training)
    samplers: Mapping[str, Sampler] = field(default_factory=_samplers)
    likelihood: Scoring = field(default_factory=Scoring)
    evaluation: Evaluation = field(default_factory=Evaluation)
    seed: int = 0

    def __post_init__(self):
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed = {self.seed}: expected 0 <= seed < 2^32")
        if len(self.data_range) != 2 or not -math.inf < self.data_range[0] < self.data_range[1] < math.inf:
            raise InputError(f"data_range = {self.data_range}: expected two numbers, low < high")
        odd = [name for name in self.samplers if not re.fullmatch(r"[\w-]+", name)]
        if odd:
            raise InputError(f"samplers: {odd}: expected names of letters, digits, '_' and '-', which files can have")
        if isinstance(self.training, Training) and isinstance(self.training.preview, Preview):
            self._require_sampler(self.training.preview)
        if isinstance(self.evaluation, Evaluation):
            self._require_samplers(self.evaluation)
        if isinstance(self.training, Training):
            self._require_heard(self.training)
        if isinstance(self.objective, Objective) and isinstance(self.sde, GaussianPath):  # not in a wrong config
            self.objective.require_fit(self.sde)

    def _require_sampler(self, preview: Preview) -> None:
        if preview.every and preview.sampler not in self.samplers:
            raise InputError(
                f"training.preview.sampler = {preview.sampler!r}: expected one of {', '.join(self.samplers)}"
            )

    def _require_samplers(self, evaluation: Evaluation) -> None:
        odd = [name for name in evaluation.samplers if name not in self.samplers]
        if odd:
            raise InputError(f"evaluation.samplers: no sampler {odd[0]!r}; {nearest(odd[0], self.samplers)}")

    def _require_heard(self, training: Training) -> None:
        """Raise `InputError` where the network does not hear what it is told in training."""
        heard, told = condition_of(self.network).hears(), training.augmentation.size
        if isinstance(self.objective, Objective):
            self.objective.require_heard(heard)
        if training.label_dropout and "label" not in heard:
            raise InputError("training.label_dropout: expected a network conditioned on labels, such as ClassLabel(10)")
        if not isinstance(training.degradation, NoDegradation) and not isinstance(heard.get("channels"), Channels):
            raise InputError(
                "training.degradation: expected a network.condition that hears what it is given, as Channels(1) of grey"
            )
        if told and heard.get("augmentation") != Vector(told):
            raise InputError(
                f"training.augmentation tells {told} numbers: expected a network.condition that hears them, "
                f"Vector({told}) or, beside others, Conditions({{'augmentation': Vector({told}), ...}})"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the experiment as JSON-able data, from which `from_json` makes an equal one."""
        return encode(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Experiment":
        """Return the experiment that JSON data describe; runs no code but the library's own exports' constructors.

        Raises `InputError` with every problem found, one a line.
        """
        experiment, problems = decode(cls, data, where="config")
        if problems:
            raise InputError("\n".join(problems))
        return experiment

    def override(self, changes: Mapping[str, Any]) -> tuple["Experiment", list[str]]:
        """Return the experiment changed at dotted paths, and every problem found on the way, a line each.

        `{"sde.beta_max": "15", "network": "MLP"}`: a component is changed by its name or field by field. Text is
        read as the type the setting has.
        """
        nested: dict[str, Any] = {}
        for path, value in changes.items():
            *parents, leaf = path.split(".")
            node = nested
            for parent in parents:
                node = _branch(node, parent)
            node[leaf] = {**node[leaf], "type": value} if isinstance(node.get(leaf), dict) else value
        return decode(type(self), nested, self, "config")

    def identity(self) -> dict[str, Any]:
        """Return what makes two runs train alike: all settings but how long, how it is logged, sampled and scored."""
        data = self.to_json()
        examples = ("batch_size", "flip", "crop", "label_dropout", "augmentation", "symmetry", "degradation")
        kept = {name: data["training"][name] for name in (*examples, "optimizer", "average")}
        precision = {"bfloat16": self.compute.bfloat16}
        left_out = ("samplers", "likelihood", "evaluation", "compute")
        return {**{k: v for k, v in data.items() if k not in left_out}, "training": kept, "compute": precision}


def _branch(node: dict[str, Any], name: str) -> dict[str, Any]:
    child = node.get(name, {})
    node[name] = child if isinstance(child, dict) else {"type": child}
    return node[name]


def _at_least(value: object, bound: int, *names: str) -> None:
    low = [
        f"{name} = {getattr(value, name)}: expected {bound} or more" for name in names if getattr(value, name) < bound
    ]
    if low:
        raise InputError("\n".join(low))
