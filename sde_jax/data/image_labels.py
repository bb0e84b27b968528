"""Labels of images: in `dataset.json`, the layout of EDM with class names, or the names of folders."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from sde_jax.data.class_names import in_natural_order
from sde_jax.data.image_files import Files
from sde_jax.errors import InputError, whole

LABELS = "dataset.json"

Labels = tuple[np.ndarray, tuple[str, ...]]


def read_labels(files: Files, images: Sequence[str]) -> Labels:
    """The labels [n] int32 of the n images named, -1 throughout where there are none, and the names of the classes.

    `dataset.json` holds {"labels": [[name, class index], ...]}, or {name: class index, ...} or null in place
    of the list, and may hold {"classes": [name of class 0, ...]}. Raises InputError if it cannot be read, has
    the same image twice, names one that is missing, or leaves one out.
    """
    where = f"{files.location}: {LABELS}"
    document = _parsed(files, where) if LABELS in files.names else {}
    entries = document.get("labels")
    if entries is None:
        return np.full(len(images), -1, np.int32), ()
    classes = _classes(document.get("classes"), where)
    most = len(classes) or 2**31
    table: dict[str, int] = {}
    known = set(images)
    for name, label in _pairs(entries, where):
        if name not in known:
            raise InputError(f"{where} labels {name!r}, which is not among the images; correct it or add the image")
        if name in table:
            raise InputError(f"{where} labels {name!r} twice; keep one of the two")
        if not whole(label, 0, most - 1):
            raise InputError(f"{where} gives {name!r} the label {label!r}; expected an integer from 0 to {most - 1}")
        table[name] = label
    unlabelled = [name for name in images if name not in table]
    if unlabelled:
        raise InputError(
            f"{where} has no label for {unlabelled[0]!r} and {len(unlabelled) - 1} other images; expected one"
            " for every image, or null for labels: add them"
        )
    return np.array([table[name] for name in images], np.int32), classes


def folder_labels(files: Files, images: Sequence[str]) -> Labels:
    """The labels [n] int32 of the n images named, by their folders at the top, and these folders in natural order.

    Raises InputError for an image that is in no folder, for a single folder, and where there is a `dataset.json`.
    """
    if LABELS in files.names:
        raise InputError(f"{files.location} has a {LABELS} beside labels_from_folders; expected one of them")
    folders = [name.split("/")[0] if "/" in name else "" for name in images]
    classes = in_natural_order(folders)
    if "" in classes:
        alone = images[folders.index("")]
        raise InputError(f"{files.location}: {alone!r} is in no folder; expected one for each class: move or remove it")
    if len(classes) == 1:
        raise InputError(
            f"{files.location} holds the one folder {classes[0]!r}; expected one for each class: make that the path, or"
            " leave labels_from_folders out"
        )
    number = {name: index for index, name in enumerate(classes)}
    return np.array([number[folder] for folder in folders], np.int32), classes


def _parsed(files: Files, where: str) -> Mapping[str, Any]:
    try:
        document = json.loads(files.read(LABELS))
    except Exception as error:
        raise InputError(f"{where} cannot be read as JSON ({error}); correct it or remove it") from error
    if not isinstance(document, dict):
        raise InputError(f'{where} holds a {type(document).__name__}; expected an object {{"labels": ...}}: correct it')
    return document


def _pairs(entries: object, where: str) -> Iterator[tuple[str, Any]]:
    if isinstance(entries, dict):
        entries = list(entries.items())
    if not isinstance(entries, list):
        raise InputError(
            f"{where}: labels is {entries!r:.60}; expected a list of [name, class index] or null: correct it"
        )
    for entry in entries:
        if not (isinstance(entry, list | tuple) and len(entry) == 2 and isinstance(entry[0], str)):
            raise InputError(f"{where}: labels holds {entry!r:.60}; expected [name, class index]: correct it")
        yield entry[0], entry[1]


def _classes(classes: object, where: str) -> tuple[str, ...]:
    if classes is None:
        return ()
    if not (isinstance(classes, list) and classes and all(isinstance(name, str) for name in classes)):
        raise InputError(f"{where}: classes is {classes!r:.60}; expected a list of class names: correct or remove it")
    return tuple(classes)
