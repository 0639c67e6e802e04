"""Every section, found by the registry, held to the same rules."""

from __future__ import annotations

import copy
import re
from typing import Any
from unittest import mock

import pytest
from markupsafe import Markup

from harden.registry import SECTIONS
from harden.report import render
from harden.report.blocks import Columns, Details, Figure, Table
from harden.report.document import Reading
from harden.report.render import html, sections
from harden.report.sections import limits, tolerance
from harden.report.terminal import summary
from harden.report.verdict import verdict
from harden.words import known

Document = dict[str, Any]
EMPTY = {
    "empty eval": {"schema": "harden.eval/1"},
    "empty fit": {"schema": "harden.fit/1"},
    "fit without trials": {
        "schema": "harden.fit/1",
        "before": None,
        "after": None,
        "method": "rescale",
        "levers": None,
    },
    "empty compare": {"schema": "harden.compare/1", "models": []},
}


@pytest.fixture(scope="module")
def documents(eval_document, fit_document, compare_document):
    return {
        "fit": fit_document(),
        "eval": eval_document(),
        "few chips": eval_document(3, None),
        "one chip": one_chip(eval_document(2, 0.5)),
        "times": eval_document(times=(0.0, 3600.0, 2592000.0)),
        "sweep": sweep(eval_document),
        "compare": compare_document(),
        "fidelity": fidelity(eval_document()),
        "after only": {**fit_document(), "before": None},
        **EMPTY,
    }


@pytest.fixture(scope="module")
def drawn(documents):
    """Each document's sections and page, drawn once."""
    made = {}
    for name, document in documents.items():
        built = sections(document)
        with mock.patch.object(render, "sections", return_value=built):
            made[name] = built, html(document)
    return made


def one_chip(document):
    entry = document["profiles"][0]
    entry["chips"], entry["accuracies"] = 1, entry["accuracies"][:1]
    entry["accuracy"].update({"std": None, "ci95": None, "ci95_images": None})
    return document


def sweep(make):
    document = make()
    entry = document["profiles"][0]
    document["profiles"] = [{**copy.deepcopy(entry), "sweep": {"sigma": s}} for s in (0.05, 0.1, 0.2)]
    return document


def fidelity(document):
    document["clean"] = {"accuracy": None, "loss": None, "confidence": None, "ece": None}
    entry = document["profiles"][0]
    spread = {k: entry["accuracy"][k] for k in ("mean", "std", "min", "p05", "median", "p95", "max")}
    entry["fidelity"] = {"cosine": spread, "nrmse": {**spread, "mean": 0.31}, "sqnr_db": {**spread, "mean": 10.2}}
    entry.update(dict.fromkeys(("accuracy", "accuracies", "yield", "confidence", "ece", "ekl", "reliability")))
    entry["tolerance"] = {"90/95": None, "95/95": None, "99/95": None}
    return document


def blocks(section):
    waiting = list(section.blocks)
    while waiting:
        block = waiting.pop()
        yield block
        if isinstance(block, Columns):
            waiting += [*block.left, *block.right]
        if isinstance(block, Details):
            waiting += block.blocks


def without(node, path=()):
    """Copies of a document, each with one key set to null; of lists, the first item stands for all."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield (*path, key), {**node, key: None}
            for place, changed in without(value, (*path, key)):
                yield place, {**node, key: changed}
    if isinstance(node, list) and node and isinstance(node[0], dict):
        for place, changed in without(node[0], (*path, 0)):
            yield place, [changed, *node[1:]]


@pytest.mark.parametrize("name", SECTIONS.names())
def test_a_section_declares_order_and_title(name):
    module = SECTIONS.module(name)
    assert isinstance(module.ORDER, int)
    assert module.TITLE
    assert module.TITLE[0].isupper()


def test_orders_are_distinct():
    orders = {name: SECTIONS.module(name).ORDER for name in SECTIONS.names()}
    equal = {name: order for name, order in orders.items() if list(orders.values()).count(order) > 1}
    assert not equal, f"these sections have the same ORDER: {equal}"


def test_sections_apply_to_what_they_are_about(drawn):
    found = {name: " ".join(s.name for s in built) for name, (built, _) in drawn.items()}
    results, rest = "summary distribution severity yields tolerance", "calibration limits perturbed record"
    assert found["fit"] == f"{results} levers training sensitivity {rest}"
    assert found["eval"] == f"summary distribution yields tolerance {rest}"
    assert "time" in found["times"]
    assert "conditions" not in found["times"]
    assert "sweep" in found["sweep"]
    assert "conditions differences" in found["compare"]
    assert found["fidelity"] == f"summary scores {rest}"
    for name in EMPTY:
        assert found[name] == "limits record"


def test_figures_have_words_and_tables_are_rectangular(drawn):
    for built, _ in drawn.values():
        for section in built:
            for block in blocks(section):
                if isinstance(block, Figure):
                    assert len(block.alt) > 30
                    assert block.caption
                    assert 'role="img"' in block.svg
                if isinstance(block, Table):
                    assert {len(row) for row in block.rows} <= {len(block.align)}
                    assert len(block.head) == len(block.align)
                    assert all(isinstance(cell, str) for row in block.rows for cell in row)


def test_no_text_shows_python_or_promises_what_statistics_cannot(drawn):
    for _, text in drawn.values():
        for trace in (">None", "None<", "nan%", "nan ", "inf%", "Traceback", "Markup("):
            assert trace not in text, trace
        for word in ("certified", "guaranteed", "proven", "compliant"):
            assert word not in text.lower()


def test_every_key_may_be_null(fit_document, monkeypatch):
    # Drawing takes most of the time; here it is only checked that drawings would get numbers.
    for name in SECTIONS.names():
        module = SECTIONS.module(name)
        for chart in ("curves", "bars", "ranges", "quantiles", "distribution", "along", "diagram"):
            if hasattr(module, chart):
                monkeypatch.setattr(module, chart, undrawn)
    document = fit_document(30)
    document["training"]["history"] = document["training"]["history"][:3]
    tried = 0
    for path, broken in without(document):
        if path == ("schema",):
            continue
        try:
            sections(broken)
        except Exception as error:
            pytest.fail(f"{path} = null: {type(error).__name__}: {error}")
        tried += 1
    assert tried > 150


def undrawn(name, given=(), *_, alt="", caption="", **__):
    for item in given if isinstance(given, (list, tuple)) else ():
        for key in ("x", "y", "value", "mean", "values"):
            value = getattr(item, key, 0.0)
            assert all(map(known, value if isinstance(value, (list, tuple)) else [value])), (name, key)
    return Figure(name, Markup(""), alt, caption)


def test_requirements_are_judged_in_the_open(eval_document):
    document = eval_document()
    document["profiles"][0]["requirements"] = [{"text": "p05_accuracy>=0.9", "found": 0.74, "met": False}]
    assert "NOT met" in html(document)


def test_networks_that_know_nothing_are_held_against_the_commonest_class(eval_document):
    document = eval_document()
    assert "commonest" not in verdict(document)
    document["data"]["classes"]["commonest"] = 0.79  # a data set of unequal classes
    assert "always answering with the most common class gives 79.0%" in verdict(document)
    del document["data"]["classes"]  # no labels
    assert "commonest" not in verdict(document)


def test_test_examples_that_were_trained_on_are_told(fit_document):
    document = fit_document()
    document["training"]["shared_with_test"] = 0
    assert not any("flattered" in item for item in limits.statements(Reading(document)))
    document["training"]["shared_with_test"] = 12
    assert any(item.startswith("12 examples of the test data") for item in limits.statements(Reading(document)))
    assert "12 test examples are in --data or --val as well." in summary(document)


def test_few_steps_and_few_chips_are_told(fit_document):
    document = fit_document()
    assert "are rarely enough" not in summary(document)
    document["training"]["steps"] = 16
    assert "16 steps; fewer than 100 are rarely enough: raise --epochs" in summary(document)
    few = tolerance.build(Reading(fit_document(5))).blocks
    assert "needs 29. Raise `--chips`" in str(few)


def test_no_clear_difference_is_no_change_from_a_to_b(fit_document):
    document = fit_document()
    after, before = (document[role]["profiles"][0] for role in ("after", "before"))
    before["accuracies"], before["accuracy"] = after["accuracies"], after["accuracy"]
    pattern = r"makes no clear difference to the mean accuracy of 100 chips: (\S+%), before \1 \(±0.0 points"
    assert re.search(pattern, verdict(document))


def test_a_class_that_most_examples_have_calls_for_another_selection(fit_document):
    document = fit_document()
    document["settings"]["select"] = "accuracy"
    assert "balanced" not in summary(document)
    for role in ("before", "after"):
        document[role]["data"]["classes"] = {"count": 2, "commonest": 0.86, "names": None}
    assert "One class has 86.0% of the examples: --select balanced_accuracy" in summary(document)
    document["settings"]["select"] = "balanced_accuracy"
    assert "One class" not in summary(document)
