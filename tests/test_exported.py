"""What users compile lowers for GPUs and TPUs from any machine, and asks the host for nothing."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax import ensembles, sampling
from sde_jax.commands.train import compiled_step
from sde_jax.commands.workdir import abstract_state
from sde_jax.experiment import Experiment, Training
from sde_jax.guidance import DPS, DataAssimilation, DiffPIR, MomentMatching, PiGDM
from sde_jax.likelihood import Exact, Hutchinson, HutchPP, XTrace
from sde_jax.measurement import Independent, Matrix, measure
from sde_jax.model import Record
from sde_jax.nn import abstract
from sde_jax.objective import EDMWeighting, FlowMatching, Likelihood, Objective, Simple, Uniform, UniformLogSNR
from sde_jax.particles import sample_particles
from sde_jax.prediction import EDM, Epsilon, Velocity
from sde_jax.sampling.imputation import Imputed, Known
from sde_jax.sampling.repaint import RePaint

SDE, SHAPE = sj.VP(), (6,)
DENOISE = sj.exact.GaussianDenoiser(SDE, np.zeros(6), np.eye(6))
KEYS = jax.eval_shape(lambda: jax.random.split(jax.random.key(0), 2))
X = jax.ShapeDtypeStruct((2, *SHAPE), jnp.float32)
GRID = sj.grids.uniform(4)
MASK = np.arange(6) < 3


def host_calls(function, *arguments) -> int:
    """How often the program of a function, lowered for two platforms that are not here, calls back to the host."""
    program = function if hasattr(function, "lower") else jax.jit(function)
    text = jax.export.export(program, platforms=("cuda", "tpu"))(*arguments).mlir_module()
    return text.lower().count("callback")


def drawn(solver, frames=0):
    return lambda keys: sj.sample(keys, solver, SDE, DENOISE, GRID, SHAPE, frames)


SAMPLERS = {
    "fixed grid": drawn(sj.DPMSolverMultistep(), 2),
    "one step": drawn(sj.DDIM()),
    "noisy": drawn(sj.EulerMaruyama()),
    "adaptive": drawn(sj.ProbabilityFlow()),
    "adaptive, with a trajectory": drawn(sj.ProbabilityFlow(), 3),
    "adaptive, of the reverse SDE": drawn(sj.ReverseSDE(), 3),
    "predictor-corrector": drawn(sj.PredictorCorrector()),
    "restart": drawn(sj.Restart(sj.EDMHeun(), low=0.3, high=0.6)),
    "imputed": drawn(Imputed(sj.DDIM(), Known(np.zeros(6), MASK))),
    "repaint": drawn(RePaint(sj.DDIM(), Known(np.zeros(6), MASK), rounds=2)),
}


@pytest.mark.parametrize("kind", SAMPLERS)
def test_samplers(kind):
    assert host_calls(SAMPLERS[kind], KEYS) == 0


@pytest.mark.parametrize("divergence", [Exact(), Hutchinson(), HutchPP(), XTrace()], ids=lambda d: type(d).__name__)
def test_likelihoods(divergence):
    def one(key, x):
        return sj.log_likelihood(key, SDE, DENOISE, x, divergence=divergence)

    assert host_calls(jax.vmap(one), KEYS, X) == 0


def test_gradients_of_a_likelihood():
    def one(key, x):
        value = lambda x: sj.log_likelihood(key, SDE, DENOISE, x, differentiable=True).value  # noqa: E731
        return jax.grad(value)(x)

    assert host_calls(jax.vmap(one), KEYS, X) == 0


def test_bits_per_dim_and_the_bound():
    def one(key, image):
        return sj.bits_per_dim(key, SDE, DENOISE, image, sj.Quantization(256), bound=sj.elbo)

    assert host_calls(jax.vmap(one), KEYS, jax.ShapeDtypeStruct((2, *SHAPE), jnp.uint8)) == 0


def test_encoding_and_editing():
    def one(key, x):
        latent = sj.encode(SDE, DENOISE, x).x
        edited = sampling.editing.edit(key, SDE, DENOISE, x, sj.grids.uniform(4, end=1e-2)).x
        return sj.decode(SDE, DENOISE, latent).x + edited

    assert host_calls(jax.vmap(one), KEYS, X) == 0


@pytest.mark.parametrize(
    "method", [DPS(), PiGDM(), MomentMatching(), DiffPIR(), DataAssimilation()], ids=lambda m: type(m).__name__
)
def test_posteriors(method):
    sees = Matrix(np.eye(6)[:2])

    def draw(keys, x):
        given = jax.vmap(lambda k, x: measure(k, sees, x, Independent(0.3)))(keys, x)
        solver = sj.DPMSolverMultistep(churn=2.0)
        return ensembles.draw(keys, given, method, solver, SDE, DENOISE, sj.grids.uniform(4, end=1e-2), SHAPE)

    assert host_calls(draw, KEYS, X) == 0


@dataclass(frozen=True)
class Chain:
    """Particles that move and weigh."""

    def start(self, key, shape, grid):
        return jax.random.normal(key, shape), jnp.zeros(())

    def move(self, key, particle, t, s, last):
        return 0.8 * particle + 0.6 * jax.random.normal(key, particle.shape), jnp.sum(particle)

    def read(self, particle, t):
        return particle


def test_particles():
    key = jax.eval_shape(lambda: jax.random.key(0))
    assert host_calls(lambda key: sample_particles(key, Chain(), GRID, SHAPE, 8), key) == 0


OBJECTIVES = {
    "epsilon": Objective(Epsilon(), Simple(), Uniform()),
    "likelihood": Objective(Epsilon(), Likelihood(), UniformLogSNR()),
    "EDM": Objective(EDM(), EDMWeighting(), UniformLogSNR()),
    "flow matching": Objective(Velocity(), FlowMatching(), Uniform()),
}
"""Objectives of every kind."""


@pytest.mark.parametrize("name", OBJECTIVES)
def test_train_steps(name):
    network = sj.MLP(width=8, depth=1)
    experiment = Experiment(network=network, objective=OBJECTIVES[name], training=Training(batch_size=4))
    record = Record(experiment, (8, 8, 1), 17)
    mesh, (apply, params) = record.mesh(), abstract(network, (8, 8, 1))
    state = abstract_state(record, mesh, params)
    assert host_calls(compiled_step(record, apply, mesh).one, state, record.batch(4)) == 0
