"""What the other commands left in a run's directory, for the pages about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from sde_jax.commands import side_files
from sde_jax.commands.evaluate import results
from sde_jax.commands.pictures import as_bytes, pixels
from sde_jax.commands.workdir import Workdir
from sde_jax.data import in_order
from sde_jax.errors import InputError
from sde_jax.model import Record
from sde_jax.report.checks import finite_vector
from sde_jax.training import Account, read_account, read_books, read_history

SHOWN = 100
"""Images in a grid, at most."""
POINTS = 2000
"""Held-out examples beside samples that are no images, at most."""

LIKELIHOOD = ("bits_per_dim", "log_snr", "noise_level_loss")
"""Arrays of `likelihood.npz`."""
NUMBERS = (
    "bits_per_dim",
    "bits_per_dim_standard_error",
    "elbo_bits_per_dim",
    "elbo_bits_per_dim_standard_error",
    "function_evaluations",
    "samples_per_second",
    "baseline_bits_per_dim",
    "checkpoint_step",
    "passes",
)
"""What is a number in `likelihood.json`, `samples_*.json` and `baseline.json`, where it is there."""

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Outcome:
    """A run's directory, to be read; every part is read when first asked for, and is empty or None where there is none.

    Raises `InputError` where there is no run, or a file is damaged.
    """

    workdir: Workdir

    @property
    def name(self) -> str:
        """The directory's."""
        return self.workdir.path.absolute().name

    @cached_property
    def record(self) -> Record:
        """The run's."""
        return self.workdir.read_record()

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """What was logged."""
        return read_books(self.workdir.path)

    @cached_property
    def history(self) -> list[dict[str, Any]]:
        """When the run started, stopped and went back."""
        return read_history(self.workdir.path)

    @cached_property
    def account(self) -> Account:
        """Where its time went."""
        return read_account(self.workdir.path)

    @cached_property
    def likelihood(self) -> Arrays:
        """What `likelihood` scored: bits per dimension of every example, and the loss by noise level."""
        return self._arrays("likelihood.npz", vectors=LIKELIHOOD)

    @cached_property
    def scores(self) -> dict[str, Any]:
        """What `likelihood.json` says."""
        return side_files.facts(self.workdir.path / "likelihood.json", NUMBERS)

    @property
    def bits(self) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Bits per dimension of held-out examples and their indices, of `likelihood`, else of the newest evaluation."""
        if self.likelihood:
            return self.likelihood["bits_per_dim"], np.arange(len(self.likelihood["bits_per_dim"]))
        files = [file for file in self.evaluation.files if file.part == "likelihood"]
        for file in sorted(files, key=lambda file: file.checkpoint_step, reverse=True):
            arrays = self._arrays(file.path, vectors=("bits_per_dim",), others=("index",))
            if arrays:
                return arrays["bits_per_dim"], arrays["index"]
        return None, None

    @property
    def bound(self) -> tuple[float, float | None] | None:
        """The mean of the variational bound and its standard error, where it was asked for."""
        if "elbo_bits_per_dim" not in self.scores:
            return None
        return self.scores["elbo_bits_per_dim"], self.scores.get("elbo_bits_per_dim_standard_error")

    @cached_property
    def baseline(self) -> Arrays:
        """Bits per dimension of the baseline."""
        return self._arrays("baseline.npz", vectors=("bits_per_dim",))

    @cached_property
    def evaluation(self) -> results.Results:
        """What `evaluate` found."""
        return results.read(self.workdir) or results.Results()

    @cached_property
    def samples(self) -> dict[str, Arrays]:
        """Of every sampler that has drawn some: `samples` [n, ...] in the data's own units, and its film.

        Where `sample` was not run they are the first ones of the newest checkpoint evaluated, without a film.
        """
        drawn = {
            name: self._arrays(f"samples_{name}.npz", others=("samples",)) for name in self.record.experiment.samplers
        }
        if not any(drawn.values()):
            files = [file for file in self.evaluation.files if file.part == "samples"]
            newest = max((file.checkpoint_step for file in files), default=0)
            files = [file for file in files if file.checkpoint_step == newest]
            drawn = {", ".join(_drawn_by(file)): self._arrays(file.path, others=("samples",)) for file in files}
        return {name: arrays for name, arrays in drawn.items() if arrays}

    @property
    def grids(self) -> dict[str, np.ndarray]:
        """By sampler, the first samples as uint8 images; none where examples are no images."""
        drawn = self.samples if self.record.is_image else {}
        return {name: as_bytes(arrays["samples"][:SHOWN], self.record) for name, arrays in drawn.items()}

    @property
    def points(self) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
        """By sampler, samples and held-out examples [n, d]; none where examples are no vectors.

        The held-out ones are read from the data themselves, and are None where these are not here.
        """
        drawn = self.samples if len(self.record.shape) == 1 else {}
        held_out = self._held_out() if drawn else None
        return {name: (arrays["samples"], held_out) for name, arrays in drawn.items()}

    @property
    def neighbours(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Samples, the training images nearest to each, and their distances, of the newest checkpoint evaluated."""
        files = [file for file in self.evaluation.files if file.part == "samples"] if self.record.is_image else []
        for file in sorted(files, key=lambda file: (file.checkpoint_step, file.steps or 0), reverse=True):
            arrays = self._arrays(file.path, others=("samples",))
            if "neighbours" in arrays:
                nearest = as_bytes(arrays["neighbours"], self.record)
                samples = as_bytes(arrays["samples"][: len(nearest)], self.record)
                return samples, nearest, arrays["neighbour_distance"]
        return None

    @property
    def restorations(self) -> dict[str, np.ndarray]:
        """The pictures that `restore` and `calibrate` left in the directory, by what they are of."""
        found = [
            path for kind in ("restored", "calibration") for path in sorted(self.workdir.path.glob(f"{kind}_*.png"))
        ]
        return {path.stem.replace("_", ", "): pixels(side_files.picture(path)) for path in found}

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the numbers of an example, where the config says them."""
        names = tuple(getattr(self.record.experiment.data, "columns", ()))
        return names if (len(names),) == self.record.shape else ()

    @property
    def memorisation(self) -> list[str]:
        """What the newest evaluations say of copies of training examples, a sentence for each sampler."""
        found = [row for row in self.evaluation.rows if row.settings.get("metric", {}).get("type") == "Memorisation"]
        newest = max((row.checkpoint_step for row in found), default=0)
        return [_copies(row) for row in found if row.checkpoint_step == newest and row.value is not None]

    def _held_out(self) -> np.ndarray | None:
        try:
            source = self.record.experiment.data.open().held_out
        except InputError:
            return None
        return np.asarray(next(iter(in_order(source, POINTS)))["data"]) if len(source) else None

    def _arrays(self, name: str, vectors: tuple[str, ...] = (), others: tuple[str, ...] = ()) -> Arrays:
        """Return a file's arrays, {} where there is no file; `vectors` and `others` must be in it, as numbers.

        Raises `InputError` naming the file; `vectors` must be finite vectors, too.
        """
        path = self.workdir.path / name
        found = side_files.arrays(path, (*vectors, *others))
        return {**found, **{key: finite_vector(f"{path}: {key}", found[key]) for key in vectors if found}}


def _drawn_by(file: results.File) -> list[str]:
    steps = [f"{file.steps:,} steps"] if file.steps else []
    return [file.sampler or "", *steps, *([file.average] if file.average else [])]


def _copies(row: results.Row) -> str:
    steps = f", {row.steps:,} steps" if row.steps else ""
    error = f" ± {100 * row.standard_error:.2g}" if row.standard_error else ""
    ratio = row.details.get("median_ratio")
    median = "" if ratio is None else f"; the median of that ratio is {ratio:.3g}"
    return (
        f"Sampler {row.sampler}{steps}, checkpoint {row.checkpoint_step:,}: {100 * (row.value or 0):.3g}{error}% of "
        f"{row.samples:,} samples are copies, as the metric counts them: their nearest training example is nearer than "
        f"{row.settings['metric']['threshold']:.3g} of the distance to the second nearest{median}."
    )
