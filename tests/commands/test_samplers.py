"""Every run can be sampled by its own samplers and by the library's, on any number of steps."""

import json

import jax
import numpy as np
import pytest

import sde_jax as sj
from sde_jax.commands.samplers import SHORT, chosen, named, of_steps, solvers, standard, unfit
from sde_jax.commands.workdir import Workdir
from sde_jax.errors import InputError
from sde_jax.experiment import Experiment, Sampler
from sde_jax.prediction import exact
from sde_jax.sampling import EulerSteps, NoCorrection, OfficialGrid, ReverseDiffusion, Tables

FEW = ["--num_samples=2", "--json"]
QUICK = ["--parts=samples", "--metrics=Energy", "--num_samples=5", "--config.evaluation.neighbours=0", "--json"]
PATHS = [sj.VP(), sj.SubVP(), sj.VE(0.01, 50.0), sj.RectifiedFlow(), sj.DDPM(), sj.SMLD()]


def facts(sde_jax, *arguments: object):
    return json.loads(sde_jax(*arguments).done().out)


def test_a_sampler_is_drawn_with_on_the_steps_asked_for_which_is_recorded(run, sde_jax):
    found = facts(sde_jax, "sample", "--workdir", run, "--steps=3", *FEW)
    assert (found["sampler"], found["settings"]["steps"], found["function_evaluations"]) == ("pc", 3, 6)
    assert json.loads((run / "samples_pc.json").read_text()) == found
    asked = ["--config.samplers.pc.steps=2", "--config.samplers.pc.solver.corrector=NoCorrection"]
    found = facts(sde_jax, "sample", "--workdir", run, *asked, *FEW)
    assert (found["settings"]["solver"]["corrector"], found["function_evaluations"]) == ({"type": "NoCorrection"}, 2)
    kept = Workdir(run).read_record().experiment.samplers["pc"]
    assert (kept.steps, type(kept.solver.corrector)) == (4, sj.Langevin)


def test_a_solver_of_the_library_is_drawn_with_under_its_own_name(run, sde_jax):
    asked = ["--solver=UniPC", "--steps=4", "--config.samplers.UniPC.solver.order=1"]
    found = facts(sde_jax, "sample", "--workdir", run, *asked, *FEW)
    assert found["settings"]["solver"]["type"] == found["sampler"] == "UniPC"
    assert (found["settings"]["solver"]["order"], found["settings"]["spacing"]["type"]) == (1, "Recommended")
    assert np.load(run / "samples_UniPC.npz")["x"].shape == (2, 8, 8, 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--solver=Foo"], "--solver=Foo: no such solver; expected one of DEIS, IPNDM, "),
        (["--solver=DDRM"], "--solver=DDRM: no such solver"),
        (["--sampler=foo"], "--sampler=foo: this run has pc, ode, fast; the library has em, sde, ancestral"),
        (["--sampler=ode", "--steps=3"], "--steps: ode makes steps of its own"),
        (["--solver=SMLDAncestral"], "the table of SMLD"),
        (["--config.samplers.pc.stpes=3"], "did you mean steps?"),
        (["--solver=Restart", "--steps=2"], "expected a step that starts at or below low"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_drawn_with_is_refused_before_anything_is_drawn(arguments, told, trained, sde_jax):
    (line,) = sde_jax("sample", "--workdir", trained, *arguments).problems
    assert told in line


def test_several_samplers_are_evaluated_whatever_the_run_calls_its_own(run, tmp_path, sde_jax):
    """Each was checked in an experiment with no other sampler, which refused the names of the others."""
    cache = ["--cache", tmp_path / "cache"]
    found = facts(sde_jax, "evaluate", "--workdir", run, "--sampler=pc,ode", *QUICK, *cache)
    assert [(row["sampler"], row["steps"]) for row in found["rows"]] == [("ode", None), ("pc", 4)]
    asked = ["--sampler=em,pc", "--solver=DDIM", "--steps=2", *QUICK, *cache]
    found = facts(sde_jax, "evaluate", "--workdir", run, *asked)
    kinds = [(row["sampler"], row["steps"], row["evaluations"]) for row in found["rows"]]
    assert sorted(kinds) == [("DDIM", 2, 2), ("em", 2, 2), ("pc", 2, 4)]


def test_a_runs_own_sampler_goes_before_the_librarys_of_that_name():
    own = Sampler(sj.DDIM(), steps=7)
    experiment = Experiment(samplers={"em": own})
    assert named(experiment, "em") == own
    assert named(experiment, "ode") == standard(sj.ProbabilityFlow, experiment.sde)
    assert chosen(experiment, None)[0] == "em"
    assert chosen(Experiment(), None)[0] == "pc"


def test_tables_and_discretisations_follow_the_steps():
    """With N times of the grid and a chain of another length each step would be of the wrong size."""
    official = sj.PredictorCorrector(ReverseDiffusion(discretization=EulerSteps(1000)), NoCorrection())
    sampler = of_steps("pc", Sampler(official, 1000, 1e-3, OfficialGrid()), 50)
    assert (sampler.steps, sampler.solver.predictor.discretization) == (50, EulerSteps(50))
    experiment = Experiment(samplers={"pc": Sampler(official, 1000, 1e-3, OfficialGrid())})
    _, changed = chosen(experiment, "pc", overrides={"samplers.pc.steps": "40"})
    assert changed.samplers["pc"].solver.predictor.discretization == EulerSteps(40)
    chain = Sampler(ReverseDiffusion(discretization=Tables(sj.SMLD(0.01, 50.0, 100))), 100, 1e-5, OfficialGrid())
    assert of_steps("x", chain, 10).solver.discretization.chain == sj.SMLD(0.01, 50.0, 10)


def test_the_table_of_another_path_is_refused():
    """The log-SNR of sub-VP is that of DDPM's table at t = 1 and t = 1/2 to 0.05, and far from it near the data."""
    (line,) = unfit(sj.SubVP(), {"x": standard(solvers()["DDPMAncestral"], sj.SubVP())})
    assert line.startswith("config.samplers.x.solver: the table of DDPM")
    assert not [*unfit(sj.DDPM(), {"x": standard(solvers()["DDPMAncestral"], sj.DDPM(steps=500))})]


def drawn_from_a_gaussian(sde, name: str) -> np.ndarray:
    sampler = standard({**solvers(), **SHORT}[name], sde)
    denoise, keys = exact.GaussianDenoiser(sde, 1.0, 0.25), jax.random.split(jax.random.key(0), 256)
    return np.asarray(sj.sample(keys, sampler.solver, sde, denoise, sampler.grid(sde), (8,)).x)


@pytest.mark.parametrize("name", ["em", "ddim", "IPNDM", "dpm"])
def test_the_grid_of_a_solver_suits_it(name):
    x = drawn_from_a_gaussian(sj.VP(), name)
    np.testing.assert_allclose([x.mean(), x.std()], [1.0, 0.5], atol=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("sde", PATHS, ids=lambda sde: type(sde).__name__)
@pytest.mark.parametrize("name", solvers())
def test_the_grid_of_every_solver_suits_it_on_every_path(name, sde):
    """2,048 numbers of deviation 0.5: a standard error of 0.011 of their mean, 0.008 of their deviation."""
    if [*unfit(sde, {name: standard(solvers()[name], sde)})]:
        pytest.skip("refused, by the table that it lacks")
    if isinstance(sde, sj.RectifiedFlow) and name in ("EulerMaruyama", "ReverseSDE"):
        pytest.skip("the reverse SDE has no finite drift at t = 1 of this path")
    x = drawn_from_a_gaussian(sde, name)
    np.testing.assert_allclose([x.mean(), x.std()], [1.0, 0.5], atol=0.04)


def test_steps_are_counted_from_one(trained, sde_jax):
    outcome = sde_jax("sample", "--workdir", trained, "--steps=0")
    assert outcome.code == 2
    with pytest.raises(InputError, match="makes steps of its own"):
        of_steps("ode", Sampler(sj.ProbabilityFlow()), 3)
