"""Samples while a run trains, of its averaged parameters."""

import jax
import numpy as np
from jax.sharding import Mesh
from PIL import Image

from sde_jax import nn, processes
from sde_jax.checks import judged
from sde_jax.commands import side_files
from sde_jax.commands.pictures import picture, pixels
from sde_jax.commands.received import received
from sde_jax.commands.workdir import Workdir
from sde_jax.errors import RunError
from sde_jax.model import Model, Record
from sde_jax.training import Books, Clock, TrainState, by_example, replicated
from sde_jax.typing import Array, Key, Params

FOLDER = "previews"


class Previews:
    """The grids of samples that `training.preview` asks for, compiled once, when the first is drawn.

    Sample i is that of `sde-jax sample` with the same state and the run's own seed. Every process takes part in the
    drawing, and the first writes. Time is counted as of "evaluation", and that of compiling as of "compile".
    """

    def __init__(self, record: Record, apply: nn.Apply, mesh: Mesh, workdir: Workdir, clock: Clock):
        experiment = record.experiment
        self._settings, self._record = experiment.training.preview, record
        self._workdir, self._clock, self._compiled = workdir, clock, None
        fold = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(experiment.seed), i))
        rows = -(-self._settings.count // mesh.size) * mesh.size
        self._keys = jax.jit(fold, out_shardings=by_example(mesh))(np.arange(rows))

        def draw(averages: Params, keys: Key) -> Array:
            params = experiment.training.average.params(averages)
            params = jax.lax.with_sharding_constraint(params, replicated(mesh))
            model = Model(record, apply, params, 0)
            conditions = model.conditions(record.labels_at(np.arange(rows)))
            samples = model.sample(keys, model.samplers[self._settings.sampler], conditions=conditions)
            return record.encoding.values(samples.x)

        self._draw = jax.jit(judged(draw), out_shardings=replicated(mesh))

    def make(self, state: TrainState, books: Books) -> None:
        """Draw a grid, write it as `previews/step_<n>.png`, and show it in the books.

        Where the sampler fails, as an adaptive one may with a network that has just begun, that is told and no more.
        """
        step = int(state.step)
        with self._clock("evaluation"):
            try:
                grid = self.draw(state)
            except RunError as error:
                return print(f"no preview of step {step}: {error}")
            if grid is not None and processes.is_first():
                self._workdir.write(f"{FOLDER}/step_{step}.png", lambda file: grid.save(file, format="png"))
                books.picture(step, "preview", pixels(grid))

    def draw(self, state: TrainState) -> Image.Image | None:
        """Return the grid of a state, None where examples are no images."""
        if self._compiled is None:
            with self._clock("compile"):
                self._compiled = self._draw.lower(state.averages, self._keys).compile()
        examples = received(self._compiled(state.averages, self._keys))
        return picture(self._record, examples[: self._settings.count])


def last_previews(workdir: Workdir, count: int) -> dict[int, np.ndarray]:
    """Return the last few previews of a run by step, as uint8 [height, width, channels]."""
    paths = [path for path in (workdir.path / FOLDER).glob("step_*.png") if path.stem[5:].isdecimal()]
    found = {int(path.stem[5:]): path for path in paths}
    return {step: pixels(side_files.picture(found[step])) for step in sorted(found)[-count:]}
