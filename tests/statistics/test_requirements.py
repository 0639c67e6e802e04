"""Demands are read, refused before the run where no number of passes could meet them, and judged by the right bound."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harden.errors import SettingsError, UnmeetableError
from harden.records.measure import ACCURACY, Measure
from harden.statistics.intervals import proportion_lower
from harden.statistics.requirements import Requirement, check_limits, check_meetable, chips_needed, judge, parse
from harden.streams import numpy_generator


def entry(values, **others):
    return {"name": "gaussian", "at_s": 0.0, "accuracies": list(values), "clean_accuracy": 0.9, **others}


VALUES = 0.8 + 0.1 * numpy_generator(0, "values").random(100)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p05_accuracy>=0.85", ("p05_accuracy", None, ">=", 0.85, None)),
        (" yield(0.9) >= 0.99 @ 95% ", ("yield", 0.9, ">=", 0.99, 0.95)),
        ("yield(0.9)>=99%@99.9%", ("yield", 0.9, ">=", 0.99, 0.999)),
        ("ekl<0.1", ("ekl", None, "<", 0.1, None)),
        ("p2_5_accuracy>0.5", ("p2_5_accuracy", None, ">", 0.5, None)),
    ],
)
def test_reading(text, expected):
    r = parse(text)

    assert (r.measure, r.argument, r.sign, r.value, r.confidence) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("p05_accuracy", "cannot read"),
        ("p05_accuracy=0.8", "cannot read"),
        ("p05_accuracy>=1.2", "outside"),
        ("yield>=0.9", "yield takes"),
        ("mean_accuracy(0.3)>=0.9", "yield takes"),
        ("p0_accuracy>=0.3", "percentile"),
        ("speed>=3", "unknown measure"),
        ("std_accuracy<=0.1@95%", "no bound"),
        ("yield(0.9)>=0.9@0%", "confidence"),
        ("yield(x)>=0.9", "not a number"),
        ("ekl<1e", "not a number"),
    ],
)
def test_nonsense_is_refused(text, problem):
    with pytest.raises(SettingsError, match=problem) as caught:
        parse(text)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("yield(0.9)>=0.99@95%", 299),
        ("yield(0.9)>=0.9@95%", 29),
        ("p05_accuracy>=0.8@95%", 59),
        ("p05_accuracy>=0.8", 1),
        ("median_accuracy>=0.8@95%", 5),
        ("mean_accuracy>=0.8@95%", 2),
        ("yield(0.9)<=0.5@95%", 5),
    ],
)
def test_chips_needed(text, needed):
    r = parse(text)

    assert chips_needed(r) == needed
    check_meetable([r], needed)
    if needed > 1:
        with pytest.raises(UnmeetableError, match=f"at least {needed} chips"):
            check_meetable([r], needed - 1)


def test_certainty_is_never_to_be_had():
    with pytest.raises(UnmeetableError, match="no number of chips"):
        check_meetable([parse("yield(0.9)>=1@95%")], 10**6)


@given(st.integers(60, 400), st.floats(0.6, 0.95), st.data())
def test_a_yield_bound_is_met_exactly_when_clopper_pearson_says_so(n, share, data):
    good = data.draw(st.integers(0, n))
    values = [0.95] * good + [0.1] * (n - good)

    verdict = judge(parse(f"yield(0.9)>={share}@95%"), entry(values))

    assert verdict.met == (proportion_lower(good, n, 0.95) >= share)


def test_point_estimates():
    for text, found in [
        ("p05_accuracy>=0.5", np.quantile(VALUES, 0.05)),
        ("mean_accuracy>=0.5", VALUES.mean()),
        ("worst_accuracy>=0.5", VALUES.min()),
        ("std_accuracy<=0.5", VALUES.std(ddof=1)),
        ("yield(0.85)>=0.1", (VALUES >= 0.85).mean()),
        ("clean_accuracy>=0.5", 0.9),
    ]:
        assert judge(parse(text), entry(VALUES)).found == pytest.approx(found)


def test_bounds_are_on_the_cautious_side():
    for text in ("p50_accuracy>=0@95%", "mean_accuracy>=0@95%", "yield(0.85)>=0@95%"):
        r = parse(text)
        cautious = judge(r, entry(VALUES)).found
        plain = judge(parse(text.split("@")[0]), entry(VALUES)).found
        assert cautious is not None
        assert plain is not None
        assert cautious < plain
        other = judge(parse(text.replace(">=0", "<=1")), entry(VALUES)).found
        assert other is not None
        assert other > plain


def test_a_missing_number_meets_nothing():
    assert not judge(parse("ekl<1"), entry(VALUES, ekl=None)).met
    assert not judge(parse("mean_accuracy>=0"), {**entry([]), "accuracies": None}).met


def test_failures_say_what_was_found():
    r = Requirement.parse("mean_accuracy>=0.99")

    assert "mean_accuracy>=0.99" in (r.failure(entry(VALUES)) or "")
    assert "0.8" in (r.failure(entry(VALUES)) or "")
    assert Requirement.parse("mean_accuracy>=0.5").failure(entry(VALUES)) is None


def test_a_threshold_that_no_rate_can_have_is_refused_once_the_headline_is_known():
    demands = [parse("yield(90)>=0.9")]
    with pytest.raises(SettingsError, match=r"write 0\.9"):
        check_limits(demands, None, ACCURACY)
    with pytest.raises(SettingsError, match="--threshold"):
        check_limits([], 1.5, ACCURACY)
    check_limits(demands, 40, ACCURACY.replaced(name="rmse", rate=False))


def test_less_is_better_by_hand():
    """Four chips with errors of 1 to 4: two are at most 2; the worst has 4."""
    measure = Measure(name="rmse", title="RMSE", better="less", rate=False)
    trials = {"rmse": np.array([3.0, 1.0, 4.0, 2.0])}
    for text, value, met in (
        ("yield(2)>=0.5", 0.5, True),
        ("worst_rmse<=3.5", 4.0, False),
        ("median_rmse<=2.5", 2.5, True),
        ("p95_rmse<=3", np.quantile([1, 2, 3, 4], 0.95), False),
    ):
        verdict = judge(parse(text), {}, trials, measure)
        assert (verdict.found, verdict.met) == (pytest.approx(value), met)
