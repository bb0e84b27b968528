import dataclasses
from html.parser import HTMLParser

import numpy as np
import pytest

from sde_jax.report import Report, render
from sde_jax.report.findings import by_basis, findings, lines


class Table(HTMLParser):
    """The cells of a page's last table, row by row, and all that is outside tables."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.outside, self.inside = [], "", False
        self.feed(page[page.index("<main>") :])

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.rows, self.inside = [], True
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "table"

    def handle_data(self, data):
        if self.inside and self.rows and self.rows[-1]:
            self.rows[-1][-1] += data.strip()
        elif not self.inside:
            self.outside += data


ROW = {"metric": "fid", "value": 3.25, "checkpoint_step": 20000, "samples": 5000}


def show(*rows):
    return Table(render(Report(title="run", evaluations=rows)))


def test_a_result_is_shown_with_its_error_samples_and_price():
    row = {
        **ROW,
        "standard_error": 0.0213,
        "interval": (3.2, 3.3),
        "sampler": "ode",
        "steps": 18,
        "evaluations": 35.0,
        "details": {"extrapolated_to_infinity": 3.1234},
        "average": "fast",
        "seed": 7,
    }
    head, body = show(row).rows
    cells = dict(zip(head, body, strict=True))
    assert cells == {
        "checkpoint": "20,000",
        "of": "ode, 18 steps, average fast",
        "calls": "35",
        "value": "3.250 ± 0.021",
        "95% interval": "3.200 to 3.300",
        "samples": "5,000",
        "seed": "7",
        "further": "extrapolated to infinity 3.123",
    }


def test_what_does_not_apply_has_no_column():
    head, body = show({**ROW, "value": None}).rows
    assert head == ["checkpoint", "of", "value", "samples"]
    assert body == ["20,000", "held-out data", "not finite", "5,000"]


@pytest.mark.parametrize(("comparable", "said"), [(False, True), (True, False), (None, False)])
def test_features_that_are_not_comparable_are_called_that(comparable, said):
    assert ("not comparable with published FIDs" in show({**ROW, "comparable": comparable}).outside) == said


def test_features_protocol_and_reference_are_stated():
    outside = show(
        {
            **ROW,
            "features": "inception 1234",
            "protocol": "299 by 299",
            "reference": "ab" * 32,
            "reference_split": "held_out",
            "reference_samples": 10000,
        }
    ).outside
    assert "inception 1234" in outside
    assert "299 by 299" in outside
    assert "held out, 10,000 examples, sha256 abababababab…" in outside


def test_warnings_are_visible_once_and_referred_to_by_number():
    rows = [{**ROW, "checkpoint_step": i, "warnings": ["few samples"] * (i < 15) + ["odd"]} for i in range(1, 21)]
    shown = show(*rows)
    assert shown.outside.count("few samples") == shown.outside.count("odd") == 1
    assert [row[-1] for row in shown.rows[1:]] == ["1, 2"] * 14 + ["2"] * 6


def test_results_on_another_basis_are_another_block(evaluation_rows):
    fids = [row for row in evaluation_rows if row["metric"] == "fid"]
    for change in ({"protocol": "other"}, {"features": "other"}, {"reference": "0" * 64}, {"metric": "kid"}):
        assert len(by_basis(findings([fids[0], {**fids[1], **change}]))) == 2
    assert len(by_basis(findings(fids))) == 1


def test_a_line_is_named_by_what_tells_it_from_the_others():
    base = {**ROW, "sampler": "ode", "steps": 18, "seed": 0}
    cases = {
        ("ode",): [base, {**base, "checkpoint_step": 3}],
        ("ode, 18 steps", "ode, 36 steps", "pc"): [base, {**base, "steps": 36}, {**base, "sampler": "pc"}],
        ("ode, seed 0", "ode, seed 1"): [base, {**base, "seed": 1}],
        ("ode, 5,000 samples", "ode, 50,000 samples"): [base, {**base, "samples": 50000}],
        ("ode, default average", "ode, slow"): [base, {**base, "average": "slow"}],
        ("held-out data",): [ROW],
    }
    for names, rows in cases.items():
        assert tuple(lines(findings(rows))) == names


def test_the_error_bar_is_the_interval_where_there_is_one():
    (one,) = findings([{**ROW, "standard_error": 0.5}])
    assert one.ends == (2.75, 3.75)
    assert dataclasses.replace(one, interval=(3.0, 5.0)).ends == (3.0, 5.0)
    assert dataclasses.replace(one, standard_error=None).ends == (3.25, 3.25)
    assert np.isnan(dataclasses.replace(one, value=None).ends).all()
