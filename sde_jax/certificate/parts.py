"""The paths and the samplers that are certified."""

import jax.numpy as jnp
import numpy as np

from sde_jax.sampling import (
    DDIM,
    DEIS,
    IPNDM,
    Ancestral,
    DPMSolverMultistep,
    DPMSolverSinglestep,
    EDMHeun,
    EulerMaruyama,
    FixedGridSolver,
    Heun,
    ReverseDiffusion,
    SASolver,
    UniPC,
)
from sde_jax.sde import (
    VE,
    VP,
    ConstantReversion,
    Cosine,
    EDMPath,
    GaussianPath,
    Log,
    MeanReverting,
    Product,
    RectifiedFlow,
    Restoration,
    Shifted,
    SubVP,
    TimeChange,
    Transformed,
    geometric_brownian,
)

PATHS: dict[str, GaussianPath] = {
    "VP": VP(),
    "SubVP": SubVP(),
    "VE": VE(),
    "EDMPath": EDMPath(),
    "Cosine": Cosine(),
    "RectifiedFlow": RectifiedFlow(),
    "MeanReverting": MeanReverting(0.7, 0.8),
}

COMBINED: dict[str, GaussianPath] = {
    "MeanReverting far": MeanReverting(10.0, 1.0, ConstantReversion(0.2)),
    "Restoration": Restoration(0.5).given({"channels": np.array([3.0, np.nan])}),
    "Shifted": Shifted(MeanReverting(-2.0), jnp.sin),
    "TimeChange": TimeChange(RectifiedFlow(), jnp.square),
    "Transformed": Transformed(SubVP(), Log()),
    "GBM": geometric_brownian(0.3, 3.0),
    "Product": Product({"a": (VP(), (2,)), "b": (RectifiedFlow(), ()), "c": (MeanReverting(4.0), (1,))}),
}
"""Paths of paths, on which bounds are certified too."""

EXACT = {"published": False, "lower_order_final": False}
"""The weights of the interpolating polynomial in every step: what many steps want, and defaults for few do not have."""
SAMPLERS: dict[str, FixedGridSolver] = {
    "EulerMaruyama": EulerMaruyama(),
    "EulerMaruyama, churn 0": EulerMaruyama(churn=0.0),
    "ReverseDiffusion": ReverseDiffusion(),
    "ReverseDiffusion, churn 0": ReverseDiffusion(churn=0.0),
    "Heun": Heun(),
    "Ancestral": Ancestral(),
    "DDIM": DDIM(),
    "DDIM, eta 0.5": DDIM(eta=0.5),
    "DPM-Solver++ 2S": DPMSolverSinglestep(order=2),
    "DPM-Solver++ 3S": DPMSolverSinglestep(order=3),
    "DPM-Solver++ 1M": DPMSolverMultistep(order=1, **EXACT),
    "DPM-Solver++ 2M": DPMSolverMultistep(order=2, **EXACT),
    "DPM-Solver++ 3M": DPMSolverMultistep(order=3, starter=True, **EXACT),
    "DPM-Solver++ 2M, published": DPMSolverMultistep(order=2, published=True, lower_order_final=False),
    "DPM-Solver++ 3M, published": DPMSolverMultistep(order=3, starter=True, published=True, lower_order_final=False),
    "SDE-DPM-Solver++ 1": DPMSolverMultistep(order=1, churn=1.0, **EXACT),
    "SDE-DPM-Solver++ 2M": DPMSolverMultistep(order=2, churn=1.0, **EXACT),
    "SDE-DPM-Solver++ 3M": DPMSolverMultistep(order=3, starter=True, churn=1.0, **EXACT),
    "UniPC-1": UniPC(order=1, **EXACT),
    "UniPC-2": UniPC(order=2, **EXACT),
    "UniPC-3": UniPC(order=3, starter=True, **EXACT),
    "UniPC-2, published": UniPC(order=2, published=True, lower_order_final=False),
    "SA-Solver": SASolver(starter=True, lower_order_final=False),
    "SA-Solver, churn 0": SASolver(starter=True, churn=0.0, lower_order_final=False),
    "DEIS-2": DEIS(order=2),
    "DEIS-3": DEIS(order=3, starter=True),
    "DEIS-3 in rho": DEIS(order=3, starter=True, in_time=False),
    "iPNDM-4": IPNDM(order=4, starter=True),
    **{f"{type(solver).__name__}, as it is": solver for solver in (DPMSolverMultistep(), UniPC(), DEIS(), IPNDM())},
    "EDM Heun": EDMHeun(),
    "EDM Heun, churn 5": EDMHeun(churn=5.0),
}
