"""From what the command line names to a data set."""

from collections.abc import Mapping
from pathlib import Path

from sde_jax.codec import decode
from sde_jax.commands.settings import from_file
from sde_jax.data import ArrayFile, Dataset, Images, Prepared, Table, TFRecordImages
from sde_jax.data.prepared_manifest import is_prepared
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment


def dataset_of(path: str | None, config: str | None, overrides: Mapping[str, str], whole: bool = False) -> Dataset:
    """Return the data set at a path, or that of a config file, with overrides `data.name=value`.

    whole: of a path nothing is held out, unless the overrides say so. Raises `InputError` with every problem found,
    one a line: where there is neither path nor config, or both; and in the file and the overrides. That the data
    are there is not looked at.
    """
    if (path is None) == (config is None):
        raise InputError("expected either a PATH or --config FILE")
    if config is not None:
        experiment, found = decode(Experiment, from_file(Path(config)), where="config")
    else:
        experiment, found = Experiment(data=dataset_at(path or "", whole)), []
        found += [f"--config.{name}: expected --config with it" for name in overrides if name.split(".")[0] != "data"]
    experiment, problems = (experiment or Experiment()).override(overrides)
    if found + problems:
        raise InputError("\n".join([*found, *problems]))
    return experiment.data


def dataset_at(path: str, whole: bool) -> Dataset:
    """Return what a path is taken for: by its ending, prepared data by their manifest, all else images."""
    suffix = Path(path).suffix.lower()
    if suffix in (".npy", ".npz"):
        return ArrayFile(path)
    if suffix in (".csv", ".tsv", ".parquet", ".pq"):
        return Table(path, delimiter="\t" if suffix == ".tsv" else ",")
    if suffix == ".tfrecords":
        return TFRecordImages(path)
    if is_prepared(Path(path).expanduser()):
        return Prepared(path)
    return Images(path, held_out_per_class=0) if whole else Images(path)
