"""Inside jit, vmap and grad what is checked outside is built too, and a number that is traced is not looked at."""

import dataclasses
import importlib
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax import ensembles, guidance, measurement, objective, particles, sampling
from sde_jax.likelihood import Quantization, TruncatedNormal, importance_weighted
from sde_jax.prediction import at_equal_log_snr
from sde_jax.sampling import editing, imputation, repaint
from sde_jax.sampling.loop import transport

PACKAGES = ["sde", "sampling", "guidance", "measurement", "objective", "likelihood", "particles", "ode", "prediction"]
GRIDS = {"LogSNR", "Karras", "NoiseGrid"}  # of NumPy, made before anything is traced


def _classes():
    """Yield every exported dataclass that is built of nothing but defaults."""
    for package in PACKAGES:
        for name, cls in sorted(vars(importlib.import_module(f"sde_jax.{package}")).items()):
            if inspect.isclass(cls) and dataclasses.is_dataclass(cls) and not inspect.isabstract(cls):
                try:
                    cls()
                except TypeError:
                    continue
                yield pytest.param(cls, id=f"{package}.{name}")


@pytest.mark.parametrize("cls", list(_classes()))
def test_every_class_is_built_inside_transformations_of_known_and_of_traced_numbers(cls):
    def build(v):
        cls()
        for field in dataclasses.fields(cls):
            number = getattr(cls(), field.name)
            if isinstance(number, float) and cls.__name__ not in GRIDS:
                for given in (jnp.asarray(number), jnp.where(v > 0, number, number)):
                    try:
                        cls(**{field.name: given})
                    except sj.InputError as error:  # what must be known is refused by name
                        assert cls.__name__ in str(error)  # noqa: PT017
        return v

    jax.eval_shape(jax.vmap(jax.grad(build)), jnp.ones(2))
    jax.eval_shape(jax.jit(build), jnp.ones(()))


SDE, X, GRID = sj.VP(), np.array([0.3, -0.7], np.float32), np.linspace(1.0, 0.1, 4)
KEY, IMAGE = jax.random.key(0), np.array([[3, 250], [0, 7]], np.uint8)
LABELS = np.array([0, 1])


def seen():
    return measurement.Measurement(measurement.Identity(), X, measurement.Independent(0.1))


def exact():
    return sj.exact.GaussianDenoiser(SDE, np.zeros(2), np.ones(2))


def keys():
    return jax.random.split(KEY, 2)


def drawn(solver):
    return sj.sample(keys(), solver, SDE, exact(), GRID, (2,)).x


def particles_of(system):
    return particles.sample_particles(KEY, system, GRID, (2,), 4).log_weights


CALLS = {
    "classifier_free": lambda: guidance.classifier_free(exact(), exact(), SDE, 2.0, rescale=0.5)(X, 0.3),
    "classifier_free of np": lambda: guidance.classifier_free(exact(), exact(), SDE, np.float64(2.0))(X, 0.3),
    "classifier_guided": lambda: guidance.classifier_guided(exact(), SDE, lambda x, t: -jnp.sum(x**2), 2.0)(X, 0.3),
    "rewarded": lambda: guidance.rewarded(exact(), SDE, lambda x: -jnp.sum(x**2), 2.0)(X, 0.3),
    "composed": lambda: guidance.composed(exact(), [exact(), exact()], [1.0, -0.5])(X, 0.3),
    "interval": lambda: guidance.classifier_free(exact(), exact(), SDE, 2.0, guidance.Interval(0.1, 5.0))(X, 0.3),
    "dequantize": lambda: Quantization(256).dequantize(KEY, IMAGE),
    "dequantize of jnp": lambda: Quantization(256).dequantize(KEY, jnp.asarray(IMAGE)),
    "bits_per_dim": lambda: sj.bits_per_dim(KEY, SDE, four(), IMAGE, Quantization(256)).value,
    "bits_per_dim, truncated": lambda: (
        sj.bits_per_dim(KEY, SDE, four(), IMAGE, Quantization(256), dequantizer=TruncatedNormal()).value
    ),
    "elbo": lambda: sj.elbo(KEY, SDE, exact(), X, strata=2).value,
    "importance_weighted": lambda: importance_weighted(np.ones(3), 4),
    "log_likelihood": lambda: sj.log_likelihood(KEY, SDE, exact(), X, tolerance=sj.Tolerance(1e-2, 1e-2)).value,
    "encode": lambda: sj.encode(SDE, exact(), X).x,
    "decode": lambda: sj.decode(SDE, exact(), X, temperature=0.5).x,
    "interpolate": lambda: sj.interpolate(jnp.asarray(X), jnp.asarray(-X[::-1]), [0.1, 0.5]),
    "inverted": lambda: editing.inverted(SDE, exact(), X, GRID).x,
    "sdedit": lambda: editing.sdedit(KEY, sj.DDIM(), SDE, exact(), X, GRID).x,
    "edit": lambda: editing.edit(KEY, SDE, exact(), X, GRID, interval=editing.Interval(-1.0, 1.0)).x,
    "transport": lambda: transport(KEY, sj.DDIM(), SDE, exact(), X, GRID).x,
    "imputed": lambda: drawn(imputation.Imputed(sj.DDIM(), imputation.inpainting(X, np.array([True, False])))),
    "repaint": lambda: drawn(repaint.RePaint(sj.DDIM(), imputation.inpainting(X, np.array([True, False])), rounds=2)),
    "colourisation": lambda: imputation.colourisation(np.ones((2, 2, 3))).given,
    "ddrm": lambda: drawn(sampling.DDRM(seen())),
    "restart": lambda: drawn(sampling.Restart(sj.DDIM(), 0.45, 0.9)),
    "particles, twisted": lambda: particles_of(particles.Twisted(SDE, exact(), particles.log_likelihood(seen()))),
    "particles, annealed": lambda: particles_of(particles.FeynmanKac(SDE, (exact(),), (2.0,))),
    "ensemble": lambda: (
        ensembles.draw(
            keys(),
            jax.tree.map(lambda a: jnp.stack([jnp.asarray(a)] * 2), seen()),
            guidance.PiGDM(),
            sj.DPMSolverMultistep(1, churn=1.0),
            SDE,
            exact(),
            GRID,
            (2,),
        ).members
    ),
    "measure": lambda: measurement.measure(KEY, measurement.Identity(), X, measurement.Independent(0.1)).value,
    "measurement": lambda: seen().log_prob(jnp.asarray(X)),
    "correlated": lambda: measurement.Correlated(np.eye(2)).draw(KEY, (2,)),
    "blur": lambda: measurement.Blur(np.ones((3, 3)) / 9)(jnp.ones((4, 4, 1))),
    "pool": lambda: measurement.MeanPool(2)(jnp.ones((4, 4, 1))),
    "sensors": lambda: measurement.Sensors(np.zeros((1, 2)))(jnp.ones((4, 4, 1))),
    "at_equal_log_snr": lambda: at_equal_log_snr(exact(), SDE, sj.VE())(X, 0.3),
    "optimal transport": lambda: objective.OptimalTransport().pair(KEY, jnp.eye(2), jnp.ones((2, 2)), LABELS)[1],
    "times": lambda: sj.UniformLogSNR().draw(KEY, 3, sj.RectifiedFlow()),
    "normal times": lambda: objective.LogNormal().draw(KEY, 3, sj.RectifiedFlow()),
    "schedule": lambda: sj.Schedule(lambda t: jnp.log1p(-t), jnp.square).log_snr(0.3),
    "shifted": lambda: sj.Shifted(SDE, jnp.sin).offset(0.3),
    "timed": lambda: sj.TimeChange(SDE, jnp.square).log_snr(0.3),
    "transformed": lambda: sj.Transformed(SDE, sj.Log()).from_data(jnp.asarray([0.3, 0.7])),
    "logit": lambda: sj.Logit(-1.0, 1.0).forward(X),
    "product": lambda: sj.Product({"a": (SDE, (2,))}).perturb(KEY, jnp.asarray(X), 0.3)[0],
    "restoration": lambda: sj.sde.Restoration(0.5).given({"channels": X}).prior_mean(),
    "histogram": lambda: sj.exact.HistogramDenoiser(SDE, np.linspace(-1, 1, 4), np.ones((2, 3)) / 3)(
        jnp.asarray(X), 0.3
    ),
    "experts": lambda: guidance.experts([lambda x, t: jnp.sum(x)] * 2)(X, 0.3),
    **{
        f"posterior, {type(method).__name__}": lambda method=method: guidance.posterior(
            exact(), SDE, seen(), method, (2,)
        )(jnp.asarray(X), 0.3)
        for method in (guidance.DPS(), guidance.PiGDM(), guidance.DataAssimilation(), guidance.DiffPIR())
    },
}


def four():
    return sj.exact.GaussianDenoiser(SDE, np.zeros(4), np.ones(4))


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_public_function_of_known_numbers_may_stand_inside_transformations(call):
    def inside(v):
        return v * jnp.sum(jnp.asarray(call(), float))

    jax.make_jaxpr(jax.jit(inside))(1.0)
    jax.make_jaxpr(jax.vmap(inside))(jnp.ones(2))
    jax.make_jaxpr(jax.grad(inside))(1.0)


SOLVERS = [
    (sj.DDIM, "eta", 0.5),
    (sj.EulerMaruyama, "churn", 0.7),
    (sampling.ReverseDiffusion, "churn", 0.7),
    (sampling.EDMHeun, "churn", 0.3),
    (sj.DPMSolverMultistep, "churn", 0.7),
    (sampling.UniPC, "churn", 0.7),
]


@pytest.mark.parametrize(("solver", "name", "value"), SOLVERS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_traced_churn_samples_as_a_known_one(solver, name, value):
    known = transport(KEY, solver(**{name: value}), SDE, exact(), X, GRID).x
    traced = jax.jit(lambda v: transport(KEY, solver(**{name: v}), SDE, exact(), X, GRID).x)(value)
    np.testing.assert_allclose(traced, known, rtol=2e-5, atol=1e-6)


def test_levels_that_are_none_are_refused_inside_a_transformation_too():
    image = np.array([3, 300])
    with pytest.raises(sj.InputError, match="an image from 3 to 300"):
        jax.jit(lambda key: Quantization(256).dequantize(key, image))(KEY)
    with pytest.raises(sj.InputError, match="weight = nan: expected a finite number"):
        jax.jit(lambda x: guidance.classifier_free(exact(), exact(), SDE, float("nan"))(x, 0.3))(X)
