"""What the official names stand for here."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeVar

import jax.numpy as jnp

from sde_jax.errors import InputError
from sde_jax.recorded.comparison import Record
from sde_jax.sampling import (
    BatchLangevin,
    Corrector,
    DDPMAncestral,
    Discretization,
    EulerSteps,
    FixedGridSolver,
    Identity,
    Langevin,
    NoCorrection,
    ReverseDiffusion,
    SMLDAncestral,
    Tables,
)
from sde_jax.sde import DDPM, SMLD, VE, VP, GaussianPath, SubVP

Part = TypeVar("Part")


class Process(NamedTuple):
    """An official path with what it is discretised by."""

    sde: GaussianPath
    tables: Tables
    discretization: Discretization
    ancestral: FixedGridSolver | None

    def predictor(self, name: str, churn: float = 1.0) -> FixedGridSolver:
        """Return the official predictor of a name; their `probability_flow` is churn 0."""
        steps = self.tables.chain.steps
        known = {
            "euler_maruyama": ReverseDiffusion(churn, EulerSteps(steps)),
            "reverse_diffusion": ReverseDiffusion(churn, self.discretization),
            "ancestral_sampling": self.ancestral,
            "none": Identity(),
        }
        return _known(known, name, "predictor")

    def corrector(self, name: str, snr: float = 0.16, steps: int = 1) -> Corrector:
        """Return the official corrector of a name; on sub-VP, where theirs fails, with the tables of VP."""
        known: dict[str, Callable[[], Corrector]] = {
            "langevin": lambda: BatchLangevin(snr, steps, self.tables),
            "ald": lambda: Langevin(snr, steps, self.tables),
            "none": NoCorrection,
        }
        return _known(known, name, "corrector")()


def process(name: str, record: Record, steps: int = 1000) -> Process:
    """Return the process of an official name in N steps; its noise levels, if it is VE, are the recorded ones."""
    steps = int(record.get("N", steps))
    if name in ("vp", "subvp"):
        ddpm = DDPM(steps=steps)
        if name == "vp":
            return Process(VP(), Tables(ddpm), Tables(ddpm), DDPMAncestral(ddpm))
        return Process(SubVP(), Tables(ddpm), EulerSteps(steps), None)
    if not re.fullmatch(r"ve(_\w+)?", name):
        raise InputError(f"{name}: expected vp, subvp or ve")
    low, high = 0.01, 50.0
    if "discrete_sigmas" in record:  # float32: its ends have six digits
        low, high = (float(f"{sigma:.6g}") for sigma in record["discrete_sigmas"][jnp.array([0, -1])])
    smld = SMLD(low, high, steps)
    return Process(VE(low, high), Tables(smld), Tables(smld), SMLDAncestral(smld))


def _known(known: Mapping[str, Part | None], name: str, kind: str) -> Part:
    found = known.get(name)
    if found is None:
        raise InputError(f"{name}: no such {kind} on this path: expected one of {', '.join(known)}")
    return found
