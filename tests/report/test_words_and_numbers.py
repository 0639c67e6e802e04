"""What the report says: verdicts, terminal text, curves, when it refuses to extrapolate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harden.report.document import Reading
from harden.report.measures import survival, upper_bound
from harden.report.plots import rate_limits
from harden.report.render import html, verdict
from harden.report.terminal import summary
from harden.words import percent, points

Document = dict[str, Any]


def test_the_verdict_has_the_numbers(fit_document):
    document = fit_document()
    before, after = (document[side]["profiles"][0]["accuracy"] for side in ("before", "after"))
    text = verdict(document)
    for value in (before["mean"], after["mean"], before["min"], after["min"], 0.8742, 0.8655):
        assert percent(value) in text
    assert "raises" in text
    assert "of 100 chips reach the required accuracy of 80%" in text
    assert text.endswith(".")
    assert text.count(". ") == 0


def test_a_loss_is_called_a_loss(fit_document):
    document = fit_document()
    document["before"]["profiles"], document["after"]["profiles"] = (
        document["after"]["profiles"],
        document["before"]["profiles"],
    )
    assert "lowers the mean accuracy" in verdict(document)


def test_a_change_within_its_interval_is_not_called_one(fit_document):
    document = fit_document()
    entry = document["before"]["profiles"][0]
    shifts = np.where(np.arange(100) % 2, 0.02, -0.019)
    entry["accuracies"] = list(np.asarray(document["after"]["profiles"][0]["accuracies"]) + shifts)
    entry["accuracy"]["mean"] = float(np.mean(entry["accuracies"]))
    assert "makes no clear difference" in verdict(document)


def test_the_verdict_stands_on_the_hardest_condition(eval_document):
    document = eval_document(times=(0.0, 3600.0, 86400.0))
    assert "at 1 d, the hardest of 3 conditions" in verdict(document)
    assert percent(document["profiles"][2]["accuracy"]["mean"]) in verdict(document)


def test_without_chips_nothing_is_claimed():
    text = verdict({"schema": "harden.fit/1", "method": "rescale", "model": {"path": "a/b.onnx"}})
    untried = "no chips were tried, so nothing is known about its robustness."
    assert text == f"b.onnx was processed with rescale, and {untried}"


def test_the_best_model_comes_first(compare_document):
    document = compare_document()
    assert "nft.onnx has the highest mean accuracy of 3 models" in verdict(document)
    low, high = document["differences"][1]["ci95"]
    assert f"ahead by {points(low)} to {points(high)} points" in verdict(document)
    row = document["differences"][1]
    row.update({"a": row["b"], "b": row["a"], "ci95": [-high, -low]})
    assert f"ahead by {points(low)} to {points(high)} points" in verdict(document)
    row["ci95"] = [-0.01, 0.02]
    assert "no clear difference: −2.0 to +1.0 points" in verdict(document)


def test_what_is_not_known_is_left_out(eval_document):
    document = eval_document(100, None)
    document["profiles"][0]["accuracy"] = {"mean": 0.8, "ci95": [0.79, 0.81]}
    document["clean"]["accuracy"] = None
    assert verdict(document).endswith("has a mean accuracy of 80.0% over 100 chips.")


def test_the_terminal_gets_five_plain_lines(fit_document):
    document = fit_document()
    document["training"] = None
    for side in ("before", "after"):
        document[side]["profiles"][0]["requirements"] = []
    text = summary(document)
    lines = text.splitlines()
    assert text.isascii()
    assert "\x1b" not in text
    assert len(lines) == 6
    assert max(map(len, lines)) <= 120
    ends = {line.index("%", line.index(" points") - 15) for line in lines[2:]}
    assert len(ends) == 1, "numbers are aligned"


@pytest.mark.parametrize("kind", ["eval", "times", "compare"])
def test_the_terminal_text_is_plain(kind, eval_document, compare_document):
    made = {"eval": eval_document(), "times": eval_document(times=(0.0, 3600.0)), "compare": compare_document()}[kind]
    assert summary(made).isascii()
    assert "mean accuracy over chips" in summary(made)


def test_skewed_chips_are_not_extrapolated(eval_document):
    assert "No Gaussian extrapolation: the skew of −" in html(eval_document())


def test_gaussian_chips_may_be(eval_document):
    document = eval_document()
    entry = document["profiles"][0]
    values = np.round(0.82 + 0.01 * stats.norm.ppf((np.arange(100) + 0.5) / 100), 4)
    entry["accuracies"] = values.tolist()
    entry["accuracy"].update({"mean": float(values.mean()), "std": float(values.std(ddof=1))})
    text = html(document)
    assert "Nothing in 100 chips speaks against a Gaussian" in text
    assert "counted: 2 of 100" in text


def test_few_chips_are_never_extrapolated(eval_document):
    assert "10 chips are too few" in html(eval_document(10))


@given(st.lists(st.integers(0, 20).map(lambda n: n / 20), min_size=1, max_size=40))
def test_the_yield_curve_counts_chips(values):
    x, share, low, high = survival(values)
    for threshold, y in zip(x, share, strict=True):
        assert y == sum(v >= threshold for v in values) / len(values)
    assert share[0] == 1.0
    assert np.all(np.diff(share) < 0)
    assert np.all((low <= share) & (share <= high))


def test_ten_thousand_chips_make_no_larger_page(eval_document):
    text = html(eval_document(10_000))
    assert len(text) < 600_000
    assert "500 of 10,000 are drawn" in text


def test_no_failure_in_300_chips_leaves_one_percent_open():
    assert upper_bound(0, 300) == pytest.approx(1 - 0.05 ** (1 / 300))
    assert upper_bound(5, 5) == 1.0


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_axes_hold_all_their_values(values):
    low, high = rate_limits(values)
    assert 0 <= low <= min(values) + 1e-9
    assert max(values) - 1e-9 <= high <= 1
    assert low < high


def test_a_cut_axis_says_so(eval_document):
    assert "axis starts at" in html(eval_document())


def test_parameters_that_differ_name_the_conditions():
    entries = [{"name": "g", "parameters": {"sigma": s, "to": "max"}, "accuracy": {"mean": 0.5}} for s in (0.1, 0.2)]
    reading = Reading({"schema": "harden.eval/1", "profiles": entries})
    assert [c.label for c in reading.conditions] == ["g, sigma 0.1", "g, sigma 0.2"]
    assert [c.noise for c in reading.conditions] == ["g noise, sigma 0.1 (to max)", "g noise, sigma 0.2 (to max)"]


def test_signs_are_true_signs():
    assert [points(x) for x in (0.1, -0.1, 0.0, -0.0001)] == ["+10.0", "−10.0", "±0.0", "±0.0"]
