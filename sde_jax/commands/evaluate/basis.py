"""What a model is compared with: the data of its run, their features, and references."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import jax

from sde_jax import processes
from sde_jax.commands.evaluate import reference
from sde_jax.commands.evaluate.reference import Origin, Reference
from sde_jax.commands.evaluate.request import Request
from sde_jax.commands.evaluate.sample_labels import ClassCounts, SampleLabels, class_counts, sample_labels
from sde_jax.commands.evaluate.states import Cache
from sde_jax.commands.workdir import Workdir
from sde_jax.data import Source, Splits, fingerprint, numbered_as, user_cache
from sde_jax.errors import InputError
from sde_jax.experiment import Evaluation
from sde_jax.metrics import Extractor, Gaussian, Metric
from sde_jax.model import Record
from sde_jax.training import replicated


@dataclass(frozen=True)
class Basis:
    """The data of a run, where they are here, and what is measured of them; opened and computed when first asked for.

    Raises `InputError` where the data are not those that the run was trained on by shape and levels, where there are
    none and they are needed, and where a reference is of something else. Processes ask together.
    """

    record: Record
    request: Request

    @property
    def evaluation(self) -> Evaluation:
        """How the run is evaluated."""
        return self.record.experiment.evaluation

    @cached_property
    def splits(self) -> Splits:
        """The data."""
        record = self.record
        try:
            splits = record.experiment.data.open()
        except InputError as error:
            advice = "the run's data are needed; --config.data.path=..., or --config.data=..., says where they are"
            raise InputError("\n".join([*str(error).splitlines(), advice])) from None
        if (tuple(splits.shape), splits.levels) != (record.shape, record.levels):
            raise InputError(
                f"config.data: examples of shape {splits.shape} with {splits.levels} levels; expected those that the "
                f"run was trained on, {record.shape} with {record.levels}"
            )
        return numbered_as(splits, record.classes)

    @cached_property
    def here(self) -> bool:
        """Whether the data can be opened."""
        try:
            return bool(self.splits)
        except InputError:
            return False

    @property
    def held_out(self) -> tuple[Source, int]:
        """The held-out examples, and how many of them are measured."""
        source = self.splits.held_out
        if not len(source):
            raise InputError("the run's data hold nothing out to measure a loss on; see config.data, or choose --parts")
        limit = self.request.num_examples
        return source, len(source) if limit is None else min(limit, len(source))

    @cached_property
    def extractor(self) -> Extractor:
        """What the metrics compare, its parameters on every device."""
        extractor, mesh = self.evaluation.features.open(self.record.shape, self.record.levels), self.record.mesh()
        plain = jax.tree_util.all_leaves([extractor])
        return extractor if plain else jax.device_put(extractor, replicated(mesh))

    @property
    def compared(self) -> tuple[str, Source]:
        """The split that samples are compared with, and its name."""
        held_out = self.evaluation.held_out
        name, source = ("held_out", self.splits.held_out) if held_out else ("train", self.splits.train)
        if len(source) < 2:
            raise InputError(f"the run's data: {len(source)} examples in {name}; expected two or more to compare with")
        return name, source

    @cached_property
    def origin(self) -> Origin:
        """What statistics of the data are of."""
        name, source = self.compared
        data = processes.first_says(fingerprint(source) if processes.is_first() else "")
        return Origin(data, name, self.extractor.name, self.extractor.protocol)

    @cached_property
    def references(self) -> Mapping[str, Reference]:
        """What each metric that compares with data compares with."""
        metrics = {name: m for name, m in self.evaluation.metrics.items() if m.uses_reference}
        file, found = self.request.reference, {}
        if file is not None:
            names = reference.taken_from_file(metrics)
            data = self.origin.data if self.here else None
            found = dict.fromkeys(names, reference.given(file, self.extractor, data))
        rest: dict[str, Metric] = {name: metric for name, metric in metrics.items() if name not in found}
        if rest:
            found |= reference.computed(self._cache, self.origin, rest, self.compared[1], self.extractor, self.record)
        return found

    @property
    def _cache(self) -> Workdir:
        return Workdir(self.request.cache) if self.request.cache else Cache(user_cache())

    @cached_property
    def label_counts(self) -> ClassCounts:
        """How often the classes that the network knows occur in what samples are compared with."""
        found, file = ClassCounts(), self.request.reference
        if self.record.label_count and processes.is_first():
            if self.here:
                found = class_counts(self.splits, *self.compared, self.record.label_count)
            elif file is not None:
                found = ClassCounts(file.name, reference.label_counts(file))
        return ClassCounts(*processes.first_says(found))

    @cached_property
    def sample_labels(self) -> SampleLabels:
        """The labels that samples are drawn of."""
        return sample_labels(self.record, self.label_counts)

    def write_reference(self, path: Path) -> None:
        """Write the mean and covariance of the reference's features in EDM's layout."""
        found, counts = self.references[reference.taken_from_file(self.evaluation.metrics)[0]], self.label_counts
        if isinstance(found.state, Gaussian):
            raise InputError("--write_reference writes what was computed of data; leave out --reference")
        if processes.is_first():
            absolute = str(path.absolute())
            Workdir(path.parent).write(
                absolute, lambda file: reference.write(file, found.state, self.origin, counts.counts)
            )
