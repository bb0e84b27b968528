"""The paths and the samplers that are certified."""

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
from sde_jax.sde import VE, VP, Cosine, EDMPath, GaussianPath, MeanReverting, RectifiedFlow, SubVP

PATHS: dict[str, GaussianPath] = {
    "VP": VP(),
    "SubVP": SubVP(),
    "VE": VE(),
    "EDMPath": EDMPath(),
    "Cosine": Cosine(),
    "RectifiedFlow": RectifiedFlow(),
    "MeanReverting": MeanReverting(0.7, 0.8),
}

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
    "DPM-Solver++ 1M": DPMSolverMultistep(order=1),
    "DPM-Solver++ 2M": DPMSolverMultistep(order=2),
    "DPM-Solver++ 3M": DPMSolverMultistep(order=3),
    "SDE-DPM-Solver++ 1": DPMSolverMultistep(order=1, churn=1.0),
    "SDE-DPM-Solver++ 2M": DPMSolverMultistep(order=2, churn=1.0),
    "SDE-DPM-Solver++ 3M": DPMSolverMultistep(order=3, churn=1.0),
    "UniPC-1": UniPC(order=1),
    "UniPC-2": UniPC(order=2),
    "UniPC-3": UniPC(order=3),
    "SA-Solver": SASolver(),
    "SA-Solver, churn 0": SASolver(churn=0.0),
    "DEIS-2": DEIS(order=2),
    "DEIS-3": DEIS(order=3),
    "DEIS-3 in rho": DEIS(order=3, in_time=False),
    "iPNDM-4": IPNDM(),
    "EDM Heun": EDMHeun(),
    "EDM Heun, churn 5": EDMHeun(churn=5.0),
}
