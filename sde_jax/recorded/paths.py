"""Recorded paths, their reverse and their tables."""

from collections.abc import Iterator
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from sde_jax.prediction import denoiser_of
from sde_jax.recorded.comparison import Comparison, Record, as_whole, by_row
from sde_jax.recorded.process import Process, process
from sde_jax.recorded.replay import Drawn
from sde_jax.reverse import reverse
from sde_jax.sampling import ReverseDiffusion, grids
from sde_jax.sampling.loop import SAMPLES
from sde_jax.sde import DDPM, SMLD
from sde_jax.typing import Array, Time

EXACT_FROM = 0.01
"""Below this time the recorded standard deviations, 1 - exp(2c) in float32, have lost digits (0.6% at 1e-5)."""
DIFFERENCES = ("f", "G", "rev_f", "rev_G", "f_of_one")
"""The discretised coefficients: differences in float32, of sqrt(alpha_i) x and x or of neighbouring sigma_i^2."""


def paths(name: str, record: Record) -> Iterator[Comparison]:
    """Compare what a file says of a path at recorded x and t, on two grids, and in tables."""
    official = process(name, record)
    facts = jax.jit(jax.vmap(partial(_facts, official), axis_name=SAMPLES))(*(record[name] for name in "xtz"))
    for name, ours in facts.items():
        yield _at(record["t"], official, name, name.split("_pf")[0], ours, record[name])
    on_grid = jax.jit(jax.vmap(partial(_on_grid, official)))
    for end in {key.removeprefix("grid_t_") for key in record if key.startswith("grid_t_")}:
        t = record[f"grid_t_{end}"]
        yield as_whole(f"grid_t_{end}", grids.official(len(t), float(end))[:-1], t, 1e-6)
        yield as_whole(f"grid_timestep_{end}", official.tables.row(t), record[f"grid_timestep_{end}"], 0.0)
        for name, ours in on_grid(t).items():
            yield _at(t, official, f"grid_{name}_{end}", name, ours, record[f"grid_{name}_{end}"])
    for name, ours in _tables(official).items():
        yield as_whole(name, ours, record[name])


def _at(t: Array, official: Process, name: str, kind: str, ours: Array, theirs: Array) -> Comparison:
    late = np.asarray(t) >= EXACT_FROM
    if kind not in DIFFERENCES:
        return by_row(name, ours, theirs, rows=late)
    # VE's relative error is that of sigma_i, 5e-7, over the step of log sigma_i, 0.005 to 0.01
    return as_whole(name, ours, theirs, 1e-4 if isinstance(official.tables.chain, SMLD) else 1e-5, late)


def _facts(official: Process, x: Array, t: Time, z: Array) -> dict[str, Array]:
    """Return what a path says of one x at t under the score -x (1 + t)."""
    sde = official.sde
    denoise = denoiser_of(lambda x, t: -x * (1 + t), sde)
    a, q = official.discretization.link(sde, t, 0.0)
    facts = {"drift": sde.drift(x, t), "diffusion": sde.diffusion(t), "mean": sde.alpha(t) * x, "std": sde.sigma(t)}
    facts |= {"prior_logp": sde.prior_log_prob(z), "f": (a - 1) * x, "G": q}
    for flow, churn in (("pf0", 1.0), ("pf1", 0.0)):
        drift, noise = reverse(sde, denoise, churn)
        facts |= {f"rev_drift_{flow}": drift(x, t), f"rev_diff_{flow}": noise(t)}
        one = Drawn(sde, iter([jnp.ones((jax.lax.axis_size(SAMPLES), *x.shape))]))
        solver = ReverseDiffusion(churn, official.discretization)
        step, _ = solver.step(jax.random.key(0), x, t, 0.0, (), sde=one, denoise=denoise)
        facts |= {f"rev_f_{flow}": x - step.mean, f"rev_G_{flow}": jnp.mean(step.x - step.mean)}
    return facts


def _on_grid(official: Process, t: Time) -> dict[str, Array]:
    """Return the functions of time that are recorded on grids."""
    sde, one = official.sde, jnp.ones(())
    a, q = official.discretization.link(sde, t, 0.0)
    rates = {"drift_of_one": sde.drift(one, t), "diffusion": sde.diffusion(t)}
    return {"f_of_one": a - 1, "G": q, **rates, "mean_coeff": sde.alpha(t), "std": sde.sigma(t)}


def _tables(official: Process) -> dict[str, np.ndarray | Array]:
    """Return the tables of the chain, where the path is discretised by them."""
    chain = official.tables.chain
    if isinstance(chain, SMLD):
        return {"discrete_sigmas": chain.sigmas()}
    if not isinstance(chain, DDPM) or official.discretization != official.tables:
        return {}
    kept = chain.alphas_cumprod()
    tables = {"discrete_betas": chain.betas(), "alphas": chain.alphas(), "alphas_cumprod": kept}
    return {**tables, "sqrt_alphas_cumprod": np.sqrt(kept), "sqrt_1m_alphas_cumprod": np.sqrt(1 - kept)}
