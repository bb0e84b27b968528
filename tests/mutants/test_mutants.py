"""The list of mutants cannot rot; whether tests notice them is a nightly run, `python -m tests.mutants`."""

from collections import Counter

import pytest

from tests.mutants import run
from tests.mutants.__main__ import main
from tests.mutants.listing import EQUIVALENT, MUTANTS
from tests.mutants.mutant import REPOSITORY, Mutant, StaleError


def test_every_mutant_applies_and_its_tests_are_there():
    assert not [name for name, count in Counter(mutant.name for mutant in MUTANTS).items() if count > 1]
    assert len(MUTANTS) >= 120
    for mutant in MUTANTS:
        compile(mutant.applied(), mutant.file, "exec")
        missing = [test for test in mutant.tests if not (REPOSITORY / "tests" / test).is_file()]
        assert mutant.tests, mutant.name
        assert not missing, (mutant.name, missing)
    assert set(EQUIVALENT) <= {mutant.name for mutant in MUTANTS}


@pytest.mark.parametrize("old", ["no such text", "self"], ids=["gone", "often"])
def test_a_mutant_whose_text_is_not_there_once_is_refused_by_name(old):
    with pytest.raises(StaleError, match=r"word: .* expected once"):
        Mutant("word", "sde_jax/sde/product.py", old, "x", "", ()).applied()


def test_an_unknown_name_is_refused(capsys):
    assert main(["--only", "no/such"]) == 2
    assert "no mutant is called no/such" in capsys.readouterr().err


TREE = {"tests/test_sum.py": "from sde_jax.total import total\ndef test_sum():\n    assert total(1, 2) == 3\n"}


@pytest.mark.parametrize(
    ("new", "what"), [("a - b", "killed"), ("b + a", "survived"), ("a +", "broken")], ids=["wrong", "same", "broken"]
)
def test_a_mutant_is_killed_by_a_test_that_fails_and_by_nothing_else(tmp_path, monkeypatch, new, what):
    for name, text in {
        "sde_jax/__init__.py": "",
        "sde_jax/total.py": "def total(a, b):\n    return a + b\n",
        **TREE,
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(run, "REPOSITORY", tmp_path)
    mutant = Mutant("total", "sde_jax/total.py", "a + b", new, "", ("test_sum.py",))
    (verdict,) = run.put_to_the_tests([mutant], 1, False)
    assert verdict.what == what
    assert (tmp_path / mutant.file).read_text().endswith("a + b\n")
    (known,) = run.put_to_the_tests([Mutant("same", *("",) * 4, (), "it is the same")], 1, False)
    assert known.what == "equivalent"
