"""Recorded runs of inpainting and colourisation."""

import re
from collections.abc import Iterator

import jax
import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.prediction.exact import GaussianDenoiser
from sde_jax.recorded.comparison import Comparison, Record, as_whole
from sde_jax.recorded.process import process
from sde_jax.recorded.replay import Replayed
from sde_jax.sampling import PredictorCorrector, Solution, grids, transport
from sde_jax.sampling.imputation import Known, colourisation, inpainting
from sde_jax.sampling.loop import SAMPLES
from sde_jax.sampling.official import OfficialImputed
from sde_jax.typing import Array

NAME = re.compile(r"(?P<task>inpaint|colorize)_(?P<path>\w+?)_(?P<corrector>langevin|ald|none)_denoise(?P<clean>[01])")
NHWC = (0, 2, 3, 1)


def controlled(name: str, record: Record) -> Iterator[Comparison]:
    """Compare the images of a run with the reverse diffusion predictor, from the recorded prior and noise.

    Recorded images are [n, channels, height, width].
    """
    yield as_whole("out", replay(name, record).x.transpose(0, 3, 1, 2), record["out"], 1e-4)


def replay(name: str, record: Record) -> Solution:
    """Return the images [n, height, width, channels] of a run from the recorded prior and noise.

    Raises `InputError` for a name that says no task, path and corrector, or a tape that does not fit it.
    """
    found = NAME.fullmatch(name)
    if found is None:
        raise InputError(f"ctrl_{name}: expected ctrl_TASK_PATH_CORRECTOR_denoise0 or 1, TASK inpaint or colorize")
    official, steps = process(found["path"], record), int(record["N"])
    images, mask, prior = (record[part].transpose(NHWC) for part in ("inp", "mask", "prior_noise"))
    draws, left = divmod(len(record["noise"]), steps)
    # beside one draw for what is known after each of the two: the predictor's, and one for each move of the corrector
    moves = draws - 3
    if left or (moves > 0) != (found["corrector"] != "none") or moves < 0:
        raise InputError(f"ctrl_{name}: {len(record['noise'])} draws in {steps} steps do not fit its corrector")
    corrector = official.corrector(found["corrector"], float(record["snr"]), max(moves, 1))
    both = PredictorCorrector(official.predictor("reverse_diffusion"), corrector)
    tape = record["noise"].transpose(0, *(n + 1 for n in NHWC)).reshape(steps, draws, *images.shape)
    denoise = GaussianDenoiser(official.sde, 0.0, record["s0"] ** 2)
    grid, key = grids.official(steps, float(record["eps"])), jax.random.key(0)
    clean = found["clean"] == "1"

    def known(image: Array, mask: Array) -> Known:
        return inpainting(image, mask) if found["task"] == "inpaint" else colourisation(image)

    def draw(image: Array, mask: Array, noise: Array) -> Solution:
        solver = OfficialImputed(both, known(image, mask))
        x = jnp.sqrt(official.sde.prior_variance()) * noise
        start = solver.begun(key, x, grid[0], official.sde)
        return transport(key, Replayed(solver, tape, noise_free=clean), official.sde, denoise, start, grid)

    return jax.jit(jax.vmap(draw, axis_name=SAMPLES))(images, mask, prior)
