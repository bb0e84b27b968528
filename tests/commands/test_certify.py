import json

import pytest

from sde_jax import sampling
from sde_jax.certificate import SAMPLERS, Finding, conversions, ends, likelihoods, orders, table, wrappers
from sde_jax.sampling import FixedGridSolver

ELSEWHERE = {
    "PredictorCorrector",  # converges as its predictor; tests/sampling/test_predictor_corrector.py
    "Identity",  # to nothing
    "MultistepConsistency",  # exact for consistency models
    "Restart",  # not in the steps of the grid
    "DDPMAncestral",  # rows of a table, not steps of a grid; compared with the official code
    "SMLDAncestral",
    "DDRM",  # to no posterior
    "Tuned",  # on no other grid than its own; tests/sampling/test_tuned.py
}


def test_every_sampler_with_a_fixed_grid_is_certified():
    exported = {
        name
        for name, cls in vars(sampling).items()
        if isinstance(cls, type) and issubclass(cls, FixedGridSolver) and not getattr(cls, "__abstractmethods__", None)
    }
    assert exported - ELSEWHERE == {type(solver).__name__ for solver in SAMPLERS.values()}


def test_every_law_has_a_name_of_its_own():
    names = [law.name for law in (*orders(), *ends(), *wrappers(), *likelihoods(), *conversions())]
    assert len(set(names)) == len(names)


def test_kept_promises_are_a_table_and_exit_code_zero(sde_jax):
    outcome = sde_jax("certify", "--only", "mixture: (DDIM|UniPC-2) on VP|round trip: v on (VP|Rect)").done()
    rows = [line.split() for line in outcome.out.splitlines()]
    assert ["DDIM", "1", "1.00"] in rows
    assert ["UniPC-2", "3"] in [row[:2] for row in rows]
    assert "4 of 4 promises kept" in outcome.out


def test_findings_are_json_with_what_was_measured_and_promised(sde_jax):
    (found,) = json.loads(sde_jax("certify", "--only", "round trip: epsilon on VE$", "--json").done().out)
    assert found.pop("measured") < found["bound"]
    assert found == {
        "law": "round trip",
        "part": "epsilon",
        "on": "VE",
        "bound": 1e-10,
        "at_least": False,
        "holds": True,
    }


def test_a_broken_promise_is_named_and_is_exit_code_one(sde_jax, monkeypatch):
    monkeypatch.setitem(SAMPLERS, "DDIM", type("Boasting", (sampling.DDIM,), {"convergence_order": 3.0})())
    outcome = sde_jax("certify", "--only", "mixture: DDIM on VP")
    assert outcome.code == 1
    assert "falls short: order, mixture: DDIM on VP: 0.998, promised >= 2.85" in outcome.out
    assert "1.00!" in outcome.out


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--only", "("], "expected a regular expression"),
        (["--only", "no such law"], "matches no law"),
        (["--recorded", "nowhere"], "no such folder"),
    ],
)
def test_what_cannot_be_certified_is_refused(sde_jax, flags, problem):
    outcome = sde_jax("certify", *flags)
    assert outcome.code == 2
    assert problem in outcome.problems[0]


def test_a_finding_that_is_no_number_keeps_no_promise():
    assert not Finding("law", "part", "path", float("nan"), 1.0).holds
    assert not Finding("law", "part", "path", float("nan"), 1.0, at_least=True).holds
    assert "nan!" in table([Finding("law", "part", "path", float("nan"), 1.0)])


@pytest.mark.slow
def test_the_official_codes_values_are_part_of_the_certificate(sde_jax, golden):
    outcome = sde_jax("certify", "--only", "official code.*sde_ve.*sigma", "--recorded", golden.folder).done()
    assert "relative difference from the official code" in outcome.out
