"""Findings as sentences: never more than the interval says."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from crucible_ray.reduction import Analysis, reduce
from crucible_ray.reduction.analysis import Metric
from crucible_ray.reports import findings, words
from tests.reduction.rows import batches, hypothesis, plan, row

LEAD = [(0, 1)] * 24 + [(1, 0)] * 4 + [(1, 1)] * 60 + [(0, 0)] * 12
"""The second condition leads by 20 points."""
NOTHING = [(0, 1)] * 10 + [(1, 0)] * 10 + [(1, 1)] * 80


def analysed(outcomes: list[tuple[int, int]], how: dict[str, Any] | None, **plans: Any) -> Analysis:
    asked = plan(len(outcomes), hypotheses=() if how is None else (hypothesis("the claim", **how),), **plans)
    rows = [
        row(2 * item + k, correct) for item, pair in enumerate(outcomes) for k, correct in enumerate(pair)
    ]
    return reduce(asked, batches(rows))


@pytest.mark.parametrize(
    ("outcomes", "how", "told"),
    [
        (LEAD, {}, "prefer ensemble to single where accuracy counts"),
        (LEAD, {"a": "single", "b": "ensemble"}, "prefer ensemble to single where accuracy counts"),
        (LEAD, {"margin": 0.5}, 'do not count on "the claim"'),
        (LEAD, {"margin": 0.2}, "none yet; the data allow both"),
        (LEAD, {"margin": 0.05, "relation": "non_inferiority"}, "ensemble may stand in for single"),
        (
            NOTHING,
            {"margin": 0.3, "relation": "equivalence"},
            "take ensemble and single for equal in accuracy",
        ),
        (NOTHING, {}, "none yet; the data allow both"),
    ],
)
def test_the_recommendation_goes_no_further_than_the_verdict(
    outcomes: list[tuple[int, int]], how: dict[str, Any], told: str
) -> None:
    assert told in findings.recommendation(analysed(outcomes, how))


def test_without_a_hypothesis_or_a_real_model_nothing_is_recommended() -> None:
    assert findings.recommendation(analysed(LEAD, None)).startswith("No recommendation")
    simulated = analysed(LEAD, {}, simulated={"seed": 1})
    assert "nothing follows for real models" in findings.recommendation(simulated)


def test_of_several_hypotheses_each_is_told_with_the_interval_that_its_verdict_is_read_from() -> None:
    """15 gained and 5 lost: p = .025 by itself, which two hypotheses together do not leave decided."""
    outcomes = [(0, 1)] * 15 + [(1, 0)] * 5 + [(1, 1)] * 80
    asked = plan(len(outcomes), hypotheses=(hypothesis("better"), hypothesis("much better", margin=0.1)))
    rows = [
        row(2 * item + k, correct) for item, pair in enumerate(outcomes) for k, correct in enumerate(pair)
    ]
    told = findings.finding(reduce(asked, batches(rows)))
    assert told.startswith('"better" is not decided.')
    assert "97.5 % interval" in told
    assert "p = .025 by itself" in told
    assert told.endswith("the interval holds zero, so no difference is shown.")


def test_a_difference_whose_interval_holds_zero_is_not_called_one() -> None:
    analysis = analysed([(0, 1)] * 12 + [(1, 0)] * 9 + [(1, 1)] * 40, {})
    assert findings.finding(analysis).endswith("the interval holds zero, so no difference is shown.")


def test_an_estimate_of_zero_is_not_told_as_equality() -> None:
    told = findings.finding(analysed([(0, 1)] * 9 + [(1, 0)] * 9 + [(1, 1)] * 12, {}))
    assert "is the same" not in told
    assert "no difference was seen (interval " in told
    assert told.endswith("which does not show that there is none.")


def test_limitations_name_what_the_design_leaves_open() -> None:
    few = analysed(LEAD[:20], None, simulated={"seed": 1})
    told = " ".join(findings.limitations(plan(20), few))
    for part in ("items.jsonl", "asked once", "20 items are few", "Exploratory comparisons (4)", "simulated"):
        assert part in told
    many = " ".join(findings.limitations(plan(100, 3), analysed(LEAD, {})))
    assert "are few" not in many


def test_a_sample_enlarged_from_an_earlier_run_says_that_the_earlier_look_is_not_counted() -> None:
    found = analysed(LEAD, {})
    single = found.conditions["single"]
    reused = replace(
        found, conditions={"single": replace(single, spend=replace(single.spend, unpaid_usd=0.1))}
    )
    assert "looked twice" in " ".join(findings.limitations(plan(100), reused))
    assert "looked twice" not in " ".join(findings.limitations(plan(100, share_replies=True), reused))
    assert "looked twice" not in " ".join(findings.limitations(plan(100), found))


def test_a_naive_p_that_agrees_is_not_told() -> None:
    found = analysed(LEAD, {}).comparisons[0]
    assert found.naive is not None
    agreeing = replace(found, naive=replace(found.naive, p_value=found.p_value))
    assert words.naive(agreeing) is None
    assert words.naive(found) is not None


def test_the_ends_of_a_cost_interval_have_as_many_digits_as_show_that_they_differ() -> None:
    ends = 0.0001184, 0.0001203
    assert words.interval("cost_per_query", *ends) == "$0.000118 to $0.00012"
    assert words.difference_ends("cost_per_query", *ends) == ("+$0.000118", "+$0.00012")
    assert words.difference_ends("cost_per_query", -1.0021, -1.0008) == ("-$1.002", "-$1.001")
    assert words.difference_ends("cost_per_query", 0.001, 0.002, signed=False) == ("$0.001", "$0.002")
    found = replace(
        analysed(LEAD, {}).comparisons[0], metric="cost_per_query", ci_low=ends[0], ci_high=ends[1]
    )
    assert "[$0.000118, $0.00012]" in words.compared(found)


def test_a_cost_has_no_fewer_digits_than_its_interval_and_a_short_latency_difference_is_not_rounded_away() -> (
    None
):
    cost = Metric(
        value=0.0000103425, ci_low=0.00001009, ci_high=0.00001059, n=300, items=100, method="t by items"
    )
    assert words.with_interval("cost_per_query", cost) == "$0.0000103 [$0.0000101, $0.0000106]"
    assert words.difference("latency_mean", -0.61) == "-0.61"
    assert words.difference("latency_mean", 0.0) == "+0"
    assert words.difference("latency_mean", 41.3) == "+41"


@pytest.mark.parametrize(
    ("metric", "told"),
    [
        ("accuracy", "a may stand in for b"),
        ("latency_p50", "b may stand in for a: its latency_p50 is higher by less than the margin, if at all"),
        ("own", "own of a is below that of b by less than the margin, if at all"),
    ],
)
def test_what_may_stand_in_for_what_goes_by_which_way_the_metric_is_better(metric: str, told: str) -> None:
    analysis = analysed(LEAD, {"margin": 0.05, "relation": "non_inferiority"})
    claim = replace(analysis.hypotheses[0], metric=metric, a="a", b="b")
    assert told in findings.recommendation(replace(analysis, hypotheses=(claim,)))


@pytest.mark.parametrize(
    ("metric", "number", "shown"),
    [
        ("accuracy", -0.0, "+0.0"),
        ("accuracy", -1e-17, "+0.0"),
        ("accuracy", 0.0004, "+0.04"),
        ("accuracy", -0.0004, "-0.04"),
        ("latency_p50", -0.0, "+0"),
        ("latency_p50", -7e-14, "+0"),
        ("own", -0.0, "+0"),
    ],
)
def test_nothing_is_a_negative_zero_and_what_is_not_zero_is_not_shown_as_zero(
    metric: str, number: float, shown: str
) -> None:
    assert words.difference(metric, number) == shown


def test_a_difference_that_is_only_described_has_no_p_on_the_screen() -> None:
    found = analysed(LEAD[:3], {}).comparisons
    described = next(each for each in found if each.metric == "latency_p95")
    assert words.compared(described) == "+0 ms, without an interval: nothing is shown"


def test_latencies_of_a_simulated_run_are_no_finding() -> None:
    asked = {"metrics": ("accuracy", "latency_mean")}
    real, played = analysed(LEAD, None, **asked), analysed(LEAD, None, **asked, simulated={"seed": 1})
    assert any("latency" in line for line in findings.sentences(real))
    assert not any("latency" in line for line in findings.sentences(played))
