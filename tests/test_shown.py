"""What holds arrays is shown in one line, by their shapes; a class is no instance."""

import dataclasses
import importlib
import pkgutil
import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sde_jax as sj
from sde_jax import guidance, measurement, nn, objective, sampling
from sde_jax.commands.workdir import Workdir, load
from sde_jax.errors import InputError
from sde_jax.experiment import Sampler
from sde_jax.pytree import one_line
from sde_jax.training import Adam, ExponentialAverage, TrainState

KEY = jax.random.key(0)
VP = sj.VP()
X = jnp.zeros(2)
GRID = sj.grids.uniform(3)


def zero(x, t):
    return 0 * x


def classes():
    """Every class of the library, by its name."""
    for module in pkgutil.walk_packages(sj.__path__, "sde_jax."):
        if not module.name.endswith("__main__"):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(value, type) and value.__module__ == module.name:
                    yield value


def holds_arrays(cls: type) -> bool:
    """Whether a field of a named tuple is an array, or a pytree of them, by its annotation."""
    hints = typing.get_type_hints(cls).values() if hasattr(cls, "_fields") else ()
    return any("Array" in str(hint) or "ndarray" in str(hint) for hint in hints)


def test_every_named_tuple_of_arrays_that_a_user_may_see_is_shown_by_shapes():
    inner = (
        "sde_jax.commands",
        "sde_jax.report",
        "sde_jax.particles.loop._Cloud",
        "sde_jax.testing.orders.Target",
        "sde_jax.guidance.conjugate_gradients",
    )
    odd = [
        f"{cls.__module__}.{cls.__qualname__}"
        for cls in classes()
        if holds_arrays(cls) and cls.__repr__ is not one_line
    ]
    known = ["sde_jax.reverse.Reverse"]
    assert [name for name in odd if not name.startswith(inner) and name not in known] == []


def test_results_are_one_line_of_shapes_and_single_numbers():
    keys = jax.random.split(KEY, 3)
    draw = sj.sample(keys, sj.DDIM(), VP, zero, GRID, (2,), frames=2)
    assert repr(draw) == str(draw) == "Samples(x=float32[3, 2], evaluations=int32[3], trajectory=float32[3, 2, 2])"
    found = str(sj.elbo(KEY, VP, zero, X, strata=2))
    assert found.startswith("Bound(value=")
    assert found.count("\n") == 0
    assert "Array" not in found
    y = measurement.Measurement(measurement.Identity(), jnp.ones((40, 40)), measurement.Independent(0.1))
    assert str(y) == "Measurement(operator=Identity(), value=float32[40, 40], noise=Independent(deviation=0.1))"
    assert str(sampling.Coded({"a": X}, jnp.asarray(7))) == "Coded(x=<1 arrays of 2 numbers>, evaluations=7)"


def test_tracers_and_keys_are_shown_too():
    shown = []
    jax.jit(lambda x: shown.append(str(sampling.Solution(x, x[0], x))))(X)
    assert shown == ["Solution(x=float32[2], evaluations=float32[], trajectory=float32[2])"]
    assert one_line(sampling.Solution(jax.random.key(0), 1, X)).startswith("Solution(x=key<fry>[], evaluations=1")


def test_paths_are_shown_as_what_makes_them():
    assert repr(sj.VP(beta_max=15.0)) == "VP(beta_min=0.1, beta_max=15.0)"
    assert repr(sj.VP(beta_max=jnp.float32(15))) == "VP(beta_min=0.1, beta_max=15)"
    assert "\n" not in repr(sj.MeanReverting(jnp.zeros((8, 8, 1))))


def test_models_networks_and_states_are_one_line(trained):
    model = load(Workdir(trained))
    assert str(model) == repr(model)
    for word in ("Model(MLP of", "at step 12", "VP(", "shape=(8, 8, 1)", "['pc', 'ode']"):
        assert word in str(model)
    architecture = nn.MLP(width=16, depth=1)
    _, params = nn.initialized(architecture, (2,), 0)
    network = nn.restored(architecture, (2,), params)
    numbers = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert str(network) == repr(network) == f"<ResidualMLP of {numbers:,} parameters>"
    state = TrainState.create(params, Adam().transformation(), ExponentialAverage())
    for shown in (str(model), str(state)):
        assert "\n" not in shown
        assert len(shown) < 800


CLASSES = {
    "divergence": lambda: sj.log_likelihood(KEY, VP, zero, X, divergence=sj.Exact),
    "tolerance": lambda: sj.log_likelihood(KEY, VP, zero, X, tolerance=sj.Tolerance),
    "method of an ODE": lambda: sj.log_likelihood(KEY, VP, zero, X, solver=sj.ode.Dopri8),
    "path of a likelihood": lambda: sj.log_likelihood(KEY, sj.VP, zero, X),
    "path of a bound": lambda: sj.elbo(KEY, sj.VP, zero, X),
    "path of a latent": lambda: sj.encode(sj.VP, zero, X),
    "path of samples": lambda: sj.sample(jax.random.split(KEY, 2), sj.DDIM(), sj.VP, zero, GRID, (2,)),
    "solver": lambda: sj.transport(KEY, sj.DDIM, VP, zero, X, GRID),
    "path within a path": lambda: sj.Shifted(sj.VP, 1.0),
    "path in a product": lambda: sj.Product({"a": (sj.VP, (2,))}),
    "path of times": lambda: sj.UniformLogSNR().draw(KEY, 3, sj.VP),
    "path of an oracle": lambda: sj.exact.GaussianDenoiser(sj.VP, 0.0, 1.0),
    "path reversed": lambda: sj.reverse(sj.VP, zero),
    "parameterization": lambda: sj.denoiser(zero, VP, sj.V),
    "weighting": lambda: sj.denoising_score_matching(KEY, VP, zero, X, 0.5, sj.Simple),
    "objective": lambda: objective.Objective(coupling=objective.OptimalTransport),
    "predictor": lambda: sj.PredictorCorrector(sj.DDIM),
    "corrector": lambda: sj.PredictorCorrector(corrector=sj.Langevin),
    "restarted": lambda: sj.Restart(sj.DDIM),
    "tolerance of a sampler": lambda: sj.ProbabilityFlow(sj.Tolerance),
    "sampler": lambda: Sampler(sj.DDIM),
    "grid": lambda: Sampler(sj.DDIM(), spacing=sj.grids.Karras),
    "operator": lambda: measurement.Measurement(measurement.Identity, X, measurement.Independent(0.1)),
    "noise": lambda: measurement.Measurement(measurement.Identity(), X, measurement.Correlated),
    "method of a posterior": lambda: guidance.posterior(zero, VP, OBSERVED, guidance.PiGDM, (2,)),
    "network": lambda: sj.initialized(sj.MLP, (2,), 0),
    "encoding": lambda: sj.bits_per_dim(KEY, VP, zero, jnp.zeros(2, int), sj.Quantization),
    "dequantizer": lambda: sj.bits_per_dim(
        KEY, VP, zero, jnp.zeros(2, int), sj.Quantization(4), dequantizer=sj.UniformCell
    ),
    "guided path": lambda: guidance.classifier_free(zero, zero, sj.VP, 2.0),
    "a number for a tolerance": lambda: sj.log_likelihood(KEY, VP, zero, X, tolerance=1e-5),
    "text for a divergence": lambda: sj.log_likelihood(KEY, VP, zero, X, divergence="exact"),
}
OBSERVED = measurement.Measurement(measurement.Identity(), X, measurement.Independent(0.1))


@pytest.mark.parametrize("what", CLASSES)
def test_a_class_is_refused_where_an_instance_is_expected(what):
    with pytest.raises(InputError, match="expected") as refused:
        CLASSES[what]()
    assert "\n" not in str(refused.value)


def test_the_refusal_names_the_argument_and_what_to_write():
    with pytest.raises(InputError, match=r"^divergence = Exact, a class: expected an instance, such as Exact\(\)$"):
        sj.log_likelihood(KEY, VP, zero, X, divergence=sj.Exact)


def test_components_of_a_users_own_are_taken():
    class Own:
        def probes(self, key, shape):
            return sj.Exact().probes(key, shape)

        def estimates(self, matvec, probes):
            return sj.Exact().estimates(matvec, probes)

        def standard_error(self, estimates):
            return jnp.zeros(())

    denoise = sj.exact.GaussianDenoiser(VP, 0.0, 1.0)
    value = sj.log_likelihood(KEY, VP, denoise, X, divergence=Own()).value
    np.testing.assert_allclose(value, -np.log(2 * np.pi), atol=1e-3)
    assert dataclasses.is_dataclass(sj.Exact)
