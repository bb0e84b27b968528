import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from sde_jax.errors import InputError
from sde_jax.report import Comparison, Run, difference, paired_difference, render_comparison
from sde_jax.report.compared_numbers import number_table
from sde_jax.report.compared_pictures import points_of_runs

HOSTILE = "<script>window.pwned=1</script>"
RNG = np.random.default_rng(0)
HARDNESS = RNG.normal(3.0, 1.0, 400)
"""What every model pays for an example, beside what it pays by itself."""


class Tables(HTMLParser):
    """The rows of every table of a page, by the table's label."""

    def __init__(self, page):
        super().__init__()
        self.tables, self.rows, self.cell = {}, [], False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if "aria-label" in dict(attrs):
            self.rows = self.tables.setdefault(dict(attrs)["aria-label"], [])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")
            self.cell = True

    def handle_endtag(self, tag):
        self.cell = self.cell and tag not in ("td", "th")

    def handle_data(self, data):
        if self.cell:
            self.rows[-1][-1] += data


def runs(rows=()):
    steps = np.arange(1, 60)
    images = RNG.integers(0, 256, (9, 4, 4, 1), dtype=np.uint8)
    first = Run(
        name="first",
        numbers={"training steps": 20000},
        bits_per_dim=HARDNESS,
        curve=(steps, 1 / steps),
        evaluations=rows,
        grids={"pc": images},
    )
    changed = [{**row, "value": row["value"] and row["value"] - 0.5} for row in rows]
    better = HARDNESS - 0.1 + RNG.normal(0, 0.02, 400)
    grids = {"pc": images[:4], "ode": images}
    return first, replace(
        first, name=f"second {HOSTILE}", bits_per_dim=better, evaluations=changed, grids=grids, numbers={}
    )


def numbers(compared, same_data=True):
    table = number_table(compared, same_data)
    return table["head"], {row[0]: dict(zip(table["head"], row, strict=True)) for row in table["body"]}


def test_a_paired_difference_is_that_of_the_examples_both_have():
    a, b = RNG.normal(size=10), RNG.normal(size=8)
    rows, others = np.arange(10)[::-1], np.arange(3, 11)
    found = paired_difference(a, rows, b, others)
    gaps = np.array([a[9 - i] - b[i - 3] for i in range(3, 10)])
    assert found.pairs == 7
    np.testing.assert_allclose(found.value, gaps.mean())
    np.testing.assert_allclose(found.standard_error, np.sqrt(gaps.var(ddof=1) / 7))


def test_a_paired_difference_is_the_more_exact_the_more_examples_differ():
    """Var(d) of a - b with a = h + u, b = h + v: Var(u) + Var(v), whatever Var(h) is."""
    u, v = RNG.normal(0, 0.02, (2, 400))
    paired = paired_difference(HARDNESS + u, np.arange(400), HARDNESS + v, np.arange(400))
    np.testing.assert_allclose(paired.standard_error, 0.02 * np.sqrt(2 / 400), rtol=0.1)
    errors = [np.std(HARDNESS + w, ddof=1) / 20 for w in (u, v)]
    apart = difference(np.mean(HARDNESS + u), errors[0], np.mean(HARDNESS + v), errors[1])
    np.testing.assert_allclose(apart.value, paired.value)
    np.testing.assert_allclose(apart.standard_error, np.hypot(*errors))
    assert apart.standard_error > 30 * paired.standard_error


def test_a_difference_without_an_error_says_none():
    assert difference(3.0, None, 1.0, 0.1) == difference(3.0, 0.1, 1.0, None) == (2.0, None, 0)
    assert str(difference(1.0, 0.3, 3.0, 0.4)) == "\N{MINUS SIGN}2.00 ± 0.50"
    assert str(difference(3.0, 0.03, 1.0, 0.04)) == "+2.000 ± 0.050"
    assert paired_difference([1.0, 2.0], [0, 1], [1.0, 2.0], [1, 2]) is None


def test_bits_of_the_same_examples_are_compared_in_pairs():
    first, second = runs()
    head, rows = numbers([first, second])
    gap = rows["bits per dimension"][f"second {HOSTILE} \N{MINUS SIGN} first"]
    assert re.fullmatch(r"−0\.\d{4} ± 0\.00\d{2}, paired over 400 examples", gap)
    assert head == ["number", "first", f"second {HOSTILE}", f"second {HOSTILE} \N{MINUS SIGN} first", "measured with"]
    assert rows["training steps"]["first"] == "20,000"
    assert rows["training steps"][f"second {HOSTILE}"] == "–"


def test_numbers_of_other_data_have_no_difference(evaluation_rows):
    head, rows = numbers(runs(evaluation_rows), same_data=False)
    assert {row[head[3]] for row in rows.values()} == {"–", ""}


def test_bits_of_other_examples_of_the_same_data_differ_without_pairs():
    first, second = runs()
    head, rows = numbers([first, replace(second, index=np.arange(400) + 400)])
    assert re.fullmatch(r"−0\.10\d ± 0\.07\d", rows["bits per dimension"][head[3]])


def test_metrics_are_compared_at_the_newest_checkpoint_and_on_one_basis(evaluation_rows):
    first, second = runs([row for row in evaluation_rows if row["metric"] == "fid"])
    head, rows = numbers([first, second])
    row = rows["fid, ode, 18 steps"]
    assert row["first"] == f"{4 + 2e5 / 40000 + 400 / 53:.2f} ± 0.30"
    assert row[head[3]] == "\N{MINUS SIGN}0.50 ± 0.42"
    assert "5,000 samples" in row["measured with"]
    assert "not comparable with published FIDs" in row["measured with"]
    other = replace(second, evaluations=[{**row, "protocol": "other"} for row in second.evaluations])
    _, rows = numbers([first, other])
    assert rows["fid, ode, 18 steps"][head[3]] == "–"


def test_curves_quality_and_samples_of_all_runs_are_shown(evaluation_rows):
    page = render_comparison(Comparison("two", runs(evaluation_rows)))
    alts = re.findall(r'alt="([^"]*)"', page)
    assert any(alt.startswith("Loss against training step: first from 1 to") and "second" in alt for alt in alts)
    quality = next(alt for alt in alts if alt.startswith("fid against calls"))
    assert "first: ode" in quality
    assert "second" in quality
    assert [alt for alt in alts if "images of" in alt] == [
        "first, sampler pc: 4 images of 4 by 4 pixels",
        "second &lt;script&gt;window.pwned=1&lt;/script&gt;, sampler pc: 4 images of 4 by 4 pixels",
        "second &lt;script&gt;window.pwned=1&lt;/script&gt;, sampler ode: 9 images of 4 by 4 pixels",
    ]
    assert HOSTILE not in page


def test_points_of_all_runs_are_shown_sampler_by_sampler():
    plane = RNG.normal(size=(20, 2))
    compared = [
        Run("a", points={"pc": (plane, None), "ode": (plane, None)}),
        Run("b", points={"ode": (plane, plane)}),
    ]
    assert [figure["caption"] for figure in points_of_runs(compared)] == [
        "a, sampler pc: 20 samples",
        "a, sampler ode: 20 samples",
        "b, sampler ode: 20 samples and 20 held-out examples",
    ]


def test_remarks_and_settings_that_differ_are_shown():
    comparison = Comparison("two", runs(), remarks=["other data"], settings=[("sde.beta_max", ["20.0", "15.0"])])
    page = render_comparison(comparison)
    assert "other data" in page
    tables = Tables(page).tables
    assert tables["settings: settings"][1] == ["sde.beta_max", "20.0", "15.0"]
    assert [row[0] for row in tables["rows: numbers"]] == ["number", "bits per dimension", "training steps"]


@pytest.mark.parametrize(
    "make",
    [
        lambda a, b: Comparison("one", [a]),
        lambda a, b: Comparison("twice", [a, a]),
        lambda a, b: Comparison(" ", [a, b]),
        lambda a, b: Comparison("settings", [a, b], settings=[("x", ["1"])]),
        lambda a, b: Comparison("nan", [a, replace(b, bits_per_dim=[np.nan])]),
        lambda a, b: Comparison("index", [a, replace(b, index=[0])]),
        lambda a, b: Comparison("twice", [a, replace(b, index=np.zeros(400, int))]),
        lambda a, b: Comparison("curve", [a, replace(b, curve=([1], [1.0, 2.0]))]),
        lambda a, b: Comparison("grid", [a, replace(b, grids={"pc": np.zeros((1, 2, 2, 1))})]),
        lambda a, b: Comparison("rows", [a, replace(b, evaluations=[{}])]),
    ],
)
def test_malformed_comparisons_are_told_in_one_line(make):
    with pytest.raises(InputError) as caught:
        render_comparison(make(*runs()))
    assert "\n" not in str(caught.value)
