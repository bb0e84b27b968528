"""Recorded single steps of predictors and correctors."""

import re
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.prediction import score_of
from sde_jax.prediction.exact import GaussianDenoiser
from sde_jax.recorded.comparison import Comparison, Record, by_row
from sde_jax.recorded.paths import EXACT_FROM
from sde_jax.recorded.process import Process, process
from sde_jax.recorded.replay import Replayed
from sde_jax.sampling import FixedGridSolver, Identity, PredictorCorrector, Step
from sde_jax.sampling.loop import SAMPLES
from sde_jax.typing import Array


def steps(name: str, record: Record) -> Iterator[Comparison]:
    """Compare x and its mean after one step at every recorded x and t, which stand for one batch.

    A predictor's arrays begin with its name and pf0 or pf1, a corrector's with its name and n1, n2, ... for the number
    of its moves.
    """
    official = process(name, record)
    denoise = GaussianDenoiser(official.sde, 0.0, record["s0"] ** 2)
    late = np.asarray(record["t"]) >= EXACT_FROM
    score = jax.vmap(score_of(denoise, official.sde))(record["x"], record["t"])
    yield by_row("score", score, record["score"], rows=late)
    for key in (key.removesuffix("_noise") for key in record if key.endswith("_noise")):
        solver = Replayed(_solver(official, key, record), record[f"{key}_noise"][None])

        def step(x: Array, t: Array, solver: FixedGridSolver = solver) -> Step:
            start = solver.init(x, jnp.stack([t, t]))
            return solver.step(jax.random.key(0), x, t, t, start, sde=official.sde, denoise=denoise)[0]

        ours = jax.jit(jax.vmap(step, axis_name=SAMPLES))(record["x"], record["t"])
        yield by_row(f"{key}_x", ours.x, record[f"{key}_x"], rows=late)
        yield by_row(f"{key}_xmean", ours.mean, record[f"{key}_xmean"], rows=late)


def _solver(official: Process, key: str, record: Record) -> FixedGridSolver:
    found = re.fullmatch(r"(\w+)_(pf|n)(\d+)", key)
    if found is None:
        raise KeyError(f"{key}_pf0 or {key}_n1")
    if found[2] == "pf":
        return official.predictor(found[1], churn=0.0 if found[3] == "1" else 1.0)
    corrector = official.corrector(found[1], float(record[f"{key}_snr"]), int(found[3]))
    return PredictorCorrector(Identity(), corrector, corrector_first=False)
