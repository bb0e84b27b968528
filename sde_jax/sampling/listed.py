"""A grid of times that are given one by one."""

from dataclasses import dataclass

import numpy as np

from sde_jax.errors import InputError
from sde_jax.sampling.grids import checked
from sde_jax.sde import GaussianPath


@dataclass(frozen=True)
class Listed:
    """The grid of exactly these times, from noise down to data. Raises `InputError` as `grids.checked` does."""

    of: tuple[float, ...]

    def __post_init__(self):
        checked(np.array(self.of))

    def times(self, sde: GaussianPath, steps: int, end: float = 1e-3, start: float = 1.0) -> np.ndarray:
        """Return the grid; raises `InputError` where other steps, another end or another start are asked for."""
        own = len(self.of) - 1
        if steps != own or not np.allclose((start, end), (self.of[0], self.of[-1]), rtol=1e-5, atol=1e-7):
            raise InputError(
                f"a listed grid of {own} steps from t = {self.of[0]:g} to {self.of[-1]:g}, asked for {steps} from "
                f"{start:g} to {end:g}: expected its own; a tuned sampler has no others: tune one for {steps} steps"
            )
        return np.array(self.of)
