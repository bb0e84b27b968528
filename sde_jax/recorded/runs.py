"""Recorded runs of predictors and correctors."""

import re
from collections.abc import Iterator

import jax

from sde_jax.errors import InputError
from sde_jax.prediction.exact import GaussianDenoiser
from sde_jax.recorded.comparison import Comparison, Record, as_whole
from sde_jax.recorded.process import process
from sde_jax.recorded.replay import Drawn, Replayed
from sde_jax.sampling import Identity, PredictorCorrector, Samples, grids, sample
from sde_jax.typing import Key

PREDICTORS = "euler_maruyama|reverse_diffusion|ancestral_sampling|none"
CORRECTORS = "langevin|ald|none"
NAME = re.compile(rf"(?P<path>\w+?)_(?P<predictor>{PREDICTORS})_(?P<corrector>{CORRECTORS})(?P<options>\w*)")


def runs(name: str, record: Record) -> Iterator[Comparison]:
    """Compare the samples of a run from the recorded prior and noise; `pf1` among its options is the flow."""
    yield as_whole("out", replay(name, record).x, record["out"], 1e-4)


def replay(name: str, record: Record) -> Samples:
    """Return the samples of a run from the recorded prior and noise.

    Raises `InputError` for a name that says no predictor and corrector, or a tape that does not fit it.
    """
    found = NAME.fullmatch(name)
    if found is None:
        raise InputError(f"pc_{name}: expected pc_PATH_PREDICTOR_CORRECTOR_denoise0 or 1")
    official = process(found["path"], record)
    steps, tape, shape = int(record["N"]), record["noise"], record["out"].shape
    flow = re.search(r"pf(?!0)|flow", found["options"]) is not None
    predictor = official.predictor(found["predictor"], churn=0.0 if flow else 1.0)
    draws, left = divmod(len(tape), steps)
    moves = draws - (not isinstance(predictor, Identity))
    if left or (moves > 0) != (found["corrector"] != "none"):
        raise InputError(f"pc_{name}: {len(tape)} draws in {steps} steps do not fit its predictor and corrector")
    corrector = official.corrector(found["corrector"], float(record["snr"]), max(moves, 1))
    noise_free = "denoise1" in found["options"]
    solver = PredictorCorrector(predictor, corrector, noise_free=noise_free)
    solver = Replayed(solver, tape.reshape(steps, draws, *shape), noise_free=noise_free)
    start = Drawn(official.sde, iter([record["prior_noise"]]))
    denoise = GaussianDenoiser(official.sde, 0.0, record["s0"] ** 2)
    grid = grids.official(steps, float(record["eps"]))

    def draw(keys: Key) -> Samples:
        return sample(keys, solver, start, denoise, grid, shape[1:])

    return jax.jit(draw)(jax.random.split(jax.random.key(0), shape[0]))
