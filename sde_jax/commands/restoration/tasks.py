"""What is measured of an image, by the name of the task."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.commands.restoration.files import mask_of, table_of
from sde_jax.errors import InputError
from sde_jax.measurement import Blur, Grey, Identity, MeanPool, Operator, Sensors, gaussian_kernel

Shape = tuple[int, int, int]


MOST = 16
"""Sensors at random places for each pixel, at most."""


@dataclass(frozen=True)
class Choices:
    """What tasks may be told: mask: a file for `mask_of`, white where pixels are known; factor: of superres; blur:
    deviation in pixels; sensors: a table of row, column and perhaps values; num_sensors: at random places instead, by
    `seed`."""

    mask: Path | None = None
    factor: int = 2
    blur: float = 1.0
    sensors: Path | None = None
    num_sensors: int = 16
    seed: int = 0


class Task(NamedTuple):
    """A problem of images of one shape.

    operator: what is measured; observed: bool of y's shape, which entries are; unknown: bool, broadcasts against the
    image, which entries diagnostics are of; values: y in grey levels where a table of sensors says it; of_whole:
    whether a whole picture may stand for its measurement.
    """

    operator: Operator
    observed: np.ndarray
    unknown: np.ndarray
    values: np.ndarray | None = None
    of_whole: bool = False

    @property
    def measured(self) -> tuple[int, ...]:
        """The shape of y."""
        return self.observed.shape


def _plain(operator: Operator, shape: Shape, of_whole: bool = False) -> Task:
    measured = jax.eval_shape(operator, jax.ShapeDtypeStruct(shape, np.float32)).shape
    return Task(operator, np.ones(measured, bool), np.ones((1, 1, 1), bool), of_whole=of_whole)


def _inpaint(choices: Choices, shape: Shape) -> Task:
    height, width, _ = shape
    if choices.mask is not None:
        known = mask_of(choices.mask, shape)
    else:
        known = np.ones((height, width, 1), bool)
        known[height // 4 : height - height // 4, width // 4 : width - width // 4] = False
    observed = np.broadcast_to(known, shape)
    return Task(Identity(), observed, ~known if not known.all() else np.ones_like(known))


def _colorize(choices: Choices, shape: Shape) -> Task:
    if shape[-1] == 1:
        raise InputError("--task=colorize: this run's images are grey; expected a run of RGB images")
    return _plain(Grey(), shape, of_whole=True)


def _superres(choices: Choices, shape: Shape) -> Task:
    return _plain(MeanPool(choices.factor), shape)


def _deblur(choices: Choices, shape: Shape) -> Task:
    return _plain(Blur(jnp.asarray(gaussian_kernel(choices.blur))), shape)


def _sensors(choices: Choices, shape: Shape) -> Task:
    height, width, channels = shape
    if choices.sensors is None:
        if choices.num_sensors > MOST * height * width:
            raise InputError(f"--num_sensors={choices.num_sensors}: expected at most {MOST} a pixel")
        sides = np.array([height - 1, width - 1])
        positions = np.random.default_rng(choices.seed).uniform(size=(choices.num_sensors, 2)) * sides
        return _plain(Sensors(jnp.asarray(positions, float)), shape, of_whole=True)
    table = table_of(choices.sensors, (2, 2 + channels))
    positions, values = table[:, :2], table[:, 2:]
    inside = (positions >= 0) & (positions <= (height - 1, width - 1))  # NaN is not
    if not inside.all():
        row = int(np.argmin(inside.all(1)))
        raise InputError(
            f"{choices.sensors}: position {positions[row].tolist()} of sensor {row}: expected row and column within "
            f"0 .. {height - 1} and 0 .. {width - 1}"
        )
    task = _plain(Sensors(jnp.asarray(positions)), shape, of_whole=True)
    return task._replace(values=values) if values.size else task


TASKS: Mapping[str, Callable[[Choices, Shape], Task]] = {
    "inpaint": _inpaint,
    "colorize": _colorize,
    "superres": _superres,
    "deblur": _deblur,
    "sensors": _sensors,
}
