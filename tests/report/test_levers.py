"""Who gets the credit: the steps from the network as given to the hardened one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harden.report.blocks import Paragraph, Table
from harden.report.document import Reading
from harden.report.sections import levers
from harden.words import percent, points

Document = dict[str, Any]


def steps(document):
    tables = [b for b in levers.build(Reading(document)).blocks if isinstance(b, Table) and b.head[0] == "with"]
    return [list(row) for row in tables[0].rows] if tables else []


def test_each_step_is_credited_with_what_it_adds(fit_document):
    document = fit_document()
    before, after = (document[role]["profiles"][0]["accuracy"]["mean"] for role in ("before", "after"))
    rows = steps(document)
    assert [row[1] for row in rows] == [percent(v) for v in (before, 0.241, 0.797, after)]
    assert [row[2] for row in rows] == ["", points(0.241 - before), "+55.6", points(after - 0.797)]
    assert "clip, batch norm reestimation" in rows[2][0]
    assert "teacher" not in rows[2][0]
    assert rows[3][0].startswith("nft_irs")


def test_the_interval_is_over_paired_chips(fit_document):
    document = fit_document()
    chips = document["after"]["profiles"][0]["accuracies"]
    # The control is three points worse on every chip: the difference is certain, however unequal the chips are.
    document["controls"]["none"] = {"label": "x", "accuracies": [c - 0.03 for c in chips], "accuracy": None}
    document["controls"]["none"]["accuracy"] = {"mean": float(np.mean(chips)) - 0.03}
    assert steps(document)[3][2:] == ["+3.0", "+3.0 to +3.0"]


@pytest.mark.parametrize("missing", ["none", "none_bare"])
def test_without_both_controls_nothing_is_split(fit_document, missing):
    document = fit_document()
    del document["controls"][missing]
    assert steps(document) == []
    document["controls"] = None
    note = levers.build(Reading(document)).blocks[-1]
    assert "--controls" in getattr(note, "text", "")


def left_out(document):
    tables = [b for b in levers.build(Reading(document)).blocks if isinstance(b, Table) and b.head[0] == "left out"]
    return [list(row) for row in tables[0].rows] if tables else []


def test_a_lever_is_credited_with_what_is_lost_without_it(fit_document):
    document = fit_document()
    chips = document["after"]["profiles"][0]["accuracies"]
    mean = float(np.mean(chips))
    for name, loss in (("freeze_batch_norms", -0.01), ("clip", 0.2)):
        kept = [c - loss for c in chips]
        document.setdefault("ablation", {})[name] = {
            "label": name,
            "accuracy": {"mean": mean - loss},
            "accuracies": kept,
            "clean": 0.8,
        }
    rows = left_out(document)
    assert rows[0][:2] == ["nothing", percent(mean)]
    # The lever that matters most comes first; a lever may also harm.
    assert [row[0] for row in rows[1:]] == ["clip", "freeze batch norms"]
    assert rows[1][1:] == [percent(mean - 0.2), "+20.0", "+20.0 to +20.0", "80.0%"]
    assert rows[2][2] == "−1.0"


def test_without_an_ablation_the_report_says_how_to_get_one(fit_document):
    document = fit_document()
    assert left_out(document) == []
    assert "--ablation" in getattr(levers.build(Reading(document)).blocks[-1], "text", "")


def test_a_control_that_went_back_to_its_start_says_so(fit_document):
    document = fit_document()
    document["controls"]["none_bare"]["selected_step"] = 0
    document["controls"]["none"]["selected_step"] = 120
    bare, levers_only = (row[0] for row in steps(document)[1:3])
    assert "its weights are those given" in bare
    assert "given" not in levers_only


def test_levers_that_are_off_share_a_row(fit_document):
    document = fit_document()
    document["levers"] |= {"column_scaling": None, "noise_ramp": 0.0}
    rows = next(b for b in levers.build(Reading(document)).blocks if isinstance(b, Table) and b.head[0] == "lever").rows
    assert [row[0] for row in rows] == [
        "clip",
        "batch norm reestimation",
        "extra teacher, train sigma scale, column scaling, noise ramp",
    ]


@pytest.mark.parametrize(("method", "gain", "said"), [("distill", 0.05, 1), ("distill", 0.01, 0), ("noise", 0.05, 0)])
def test_a_network_that_fine_tuning_alone_improves_is_called_no_good_teacher(fit_document, method, gain, said):
    document = fit_document()
    clean = document["before"]["clean"]["accuracy"]
    document["method"]["name"] = method
    document["controls"]["none_bare"]["clean"] = clean + gain
    blocks = levers.build(Reading(document)).blocks
    found = [b.text for b in blocks if isinstance(b, Paragraph) and "--method auto" in b.text]
    assert len(found) == said
    assert all(percent(clean) in text and percent(clean + gain) in text for text in found)


@pytest.mark.parametrize(("recovered", "said"), [(0.02, "recovered 2.0%"), (0.0, "no step of the first training")])
def test_a_second_try_says_why_there_was_one(fit_document, recovered, said):
    document = fit_document()
    tried = {"kept": True, "before": 0.1, "after": 0.4, "recovered": recovered, "steps": 12, "rescaled": True}
    document["levers"]["second_try"] = tried
    (table,) = [b for b in levers.build(Reading(document)).blocks if isinstance(b, Table) and b.head[0] == "lever"]
    (row,) = [row for row in table.rows if row[0] == "second try"]
    assert said in row[2]
    assert "12 small steps" in row[2]
