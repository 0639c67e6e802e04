"""The section on several seeds: what it says of the runs, and of the share that reaches what was required."""

from __future__ import annotations

from typing import Any

import pytest

from harden.report.blocks import Paragraph, Table
from harden.report.document import Reading
from harden.report.sections import limits, seeds

Document = dict[str, Any]


@pytest.fixture
def document(fit_document):
    rows = [{"seed": s, "mean": m, "p05": 0.7, "min": 0.6, "clean": 0.86} for s, m in enumerate((0.80, 0.82, 0.84))]
    found = {**fit_document(), "seeds": rows, "convergence_probability": 2 / 3, "convergence_ci95": [0.094, 0.992]}
    found["settings"]["threshold"] = 0.81
    return found


def words(document):
    return next(b.text for b in seeds.build(Reading(document)).blocks if isinstance(b, Paragraph))


def test_the_spread_over_seeds_and_the_share_that_reaches(document):
    text = words(document)
    assert "from 80.0% to 84.0%: on average 82.0%, standard deviation 2 points" in text
    assert "2 of 3 reach the required 81% with it (95% interval of that share: 9.4% to 99.2%)" in text
    assert text.endswith("All else in this report is of seed 0.")
    (table,) = [b for b in seeds.build(Reading(document)).blocks if isinstance(b, Table)]
    assert [row[:2] for row in table.rows] == [["0", "80.0%"], ["1", "82.0%"], ["2", "84.0%"]]


def test_runs_that_round_to_the_same_get_another_digit(document):
    for row, mean in zip(document["seeds"], (0.9706, 0.9708, 0.9707), strict=True):
        row["mean"] = mean
    assert "from 97.06% to 97.08%" in words(document)


def test_the_limits_know_of_the_seeds(document):
    assert any("Only 3 training runs" in line for line in limits.statements(Reading(document)))
    assert any("--seeds" in line for line in limits.statements(Reading({**document, "seeds": None})))


def test_one_run_has_no_such_section(document):
    assert seeds.build(Reading(document)).blocks
    assert not seeds.build(Reading({**document, "seeds": document["seeds"][:1]})).blocks
    assert not seeds.build(Reading({**document, "seeds": None})).blocks
