"""From rows to inference: values, intervals, missing data, verdicts, the same bytes."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import AnalysisPlan, Plan
from crucible_ray.reduction import Analysis, encode, reduce
from crucible_ray.reduction.missing import could_flip
from crucible_ray.reports import findings
from crucible_ray.stats import tango, wilson
from tests.reduction.rows import batches, hypothesis, plan, row


def _one_repeat(gains: int, losses: int, both: int, neither: int = 0) -> list[dict[str, Any]]:
    """Rows of as many items as there are, single then ensemble."""
    outcomes = [(0, 1)] * gains + [(1, 0)] * losses + [(1, 1)] * both + [(0, 0)] * neither
    return [
        row(2 * item + c, correct) for item, pair in enumerate(outcomes) for c, correct in enumerate(pair)
    ]


def _analyse(rows: list[dict[str, Any]], items: int, repeats: int = 1, **how: Any) -> Analysis:
    return reduce(plan(items, repeats, **how), batches(rows))


def test_accuracy_at_one_repeat_has_wilsons_interval() -> None:
    analysis = _analyse(_one_repeat(30, 12, 50, 8), 100)
    single, ensemble = (analysis.conditions[name].metrics["accuracy"] for name in ("single", "ensemble"))
    assert (single.value, ensemble.value) == (0.62, 0.80)
    assert (ensemble.ci_low, ensemble.ci_high) == wilson(80, 100)
    assert ensemble.n == ensemble.items == 100


def test_the_comparison_is_against_the_baseline_with_tangos_interval_and_the_naive_answer() -> None:
    analysis = _analyse(_one_repeat(30, 12, 50, 8), 100)
    comparison = analysis.comparisons[0]
    control = np.repeat([0.0, 1.0, 1.0, 0.0], [30, 12, 50, 8])
    treatment = np.repeat([1.0, 0.0, 1.0, 0.0], [30, 12, 50, 8])
    assert (comparison.metric, comparison.a, comparison.b) == ("accuracy", "ensemble", "single")
    assert comparison.estimate == pytest.approx(0.18)
    assert (comparison.ci_low, comparison.ci_high) == pytest.approx(tango(control, treatment))
    assert comparison.naive is not None
    assert comparison.naive.test == "welch_t_pooled"
    assert comparison.exploratory


def test_repeats_are_replicates_within_items_not_new_items() -> None:
    rng = np.random.default_rng(1)
    level = rng.beta(4, 2, size=(60, 1, 1))
    correct = (rng.random((60, 3, 2)) < level).astype(int).ravel()
    analysis = _analyse([row(trial, int(value)) for trial, value in enumerate(correct)], 60, 3)
    accuracy = analysis.conditions["single"].metrics["accuracy"]
    assert accuracy.method == "t by items"
    assert (accuracy.n, accuracy.items) == (180, 60)
    assert accuracy.value == pytest.approx(correct[0::2].mean())
    low, high = wilson(int(correct[0::2].sum()), 180)
    assert accuracy.ci_low is not None
    assert accuracy.ci_high is not None
    assert accuracy.ci_high - accuracy.ci_low > high - low
    assert analysis.comparisons[0].test == "adjusted_t"


def test_better_is_supported_and_five_points_better_is_refuted_on_one_set_of_answers() -> None:
    declared = (hypothesis("better"), hypothesis("five points better", margin=0.05))
    analysis = _analyse(_one_repeat(190, 130, 680), 1000, hypotheses=declared)
    verdicts = {result.text: result for result in analysis.hypotheses}
    assert verdicts["better"].verdict == "supported"
    assert not analysis.comparisons[0].exploratory
    assert verdicts["five points better"].verdict == "not_decided"
    analysis = _analyse(_one_repeat(190, 130, 2680), 3000, hypotheses=declared)
    assert [result.verdict for result in analysis.hypotheses] == ["supported", "refuted"]


def test_several_hypotheses_are_read_at_holms_levels_and_bonferroni_stands_beside() -> None:
    declared = (
        hypothesis("better"),
        hypothesis("two points better", margin=0.026),
        hypothesis("cheaper", metric="cost_per_query", a="single", b="ensemble"),
    )
    analysis = _analyse(_one_repeat(40, 16, 200), 256, hypotheses=declared)
    confidence = {result.text: result.confidence for result in analysis.hypotheses}
    assert confidence["better"] == pytest.approx(1 - 0.05 / 3)
    assert confidence["two points better"] == pytest.approx(1 - 0.05 / 2)
    assert [result.verdict for result in analysis.hypotheses] == ["supported", "supported", "not_decided"]
    assert analysis.hypotheses[2].reason.startswith("every item has the same difference")
    plain = analysis.comparisons[0]
    assert plain.ci_low is not None
    assert analysis.hypotheses[0].ci_low is not None
    assert analysis.hypotheses[0].ci_low < plain.ci_low


def test_too_few_differing_items_give_an_interval_and_no_verdict() -> None:
    analysis = _analyse(_one_repeat(5, 0, 95), 100, hypotheses=(hypothesis("better"),))
    result = analysis.hypotheses[0]
    assert result.verdict == "not_decided"
    assert result.reason == "too few differing items to decide (5 of 100)"
    assert result.ci_low is not None


def test_a_failure_is_missing_and_an_unreadable_answer_is_wrong() -> None:
    rows = _one_repeat(10, 4, 86)
    rows[0] = row(0, error="timeout")
    rows[2] = row(2, error="rate_limit")
    rows[4] = row(4, 0, error="parse_failed")
    del rows[-1]
    analysis = _analyse(rows, 100)
    single, ensemble = (analysis.conditions[name].completeness for name in ("single", "ensemble"))
    assert (single.planned, single.answered, single.failed, single.pending) == (100, 98, 2, 0)
    assert single.errors == {"rate_limit": 1, "timeout": 1}
    assert single.parse_failed == 1
    assert ensemble.pending == 1
    assert analysis.conditions["single"].metrics["accuracy"].value == pytest.approx(90 / 98)
    assert [single.accuracy_low, single.accuracy_high] == pytest.approx([0.90, 0.92])
    assert analysis.comparisons[0].items == 97
    assert analysis.comparisons[0].missing_p is not None


def test_a_headline_that_failed_trials_could_turn_is_withheld() -> None:
    rows = _one_repeat(30, 12, 58)
    for item in range(70, 95):
        rows[2 * item + 1] = row(2 * item + 1, error="timeout")
    result = _analyse(rows, 100, hypotheses=(hypothesis("better"),)).hypotheses[0]
    assert result.verdict == "not_decided"
    assert "failed trials could turn it" in result.reason
    assert "supported" in result.reason


def test_an_undeclared_difference_that_failed_trials_could_turn_has_no_direction() -> None:
    rows = _one_repeat(30, 12, 58)
    assert not _analyse(rows, 100).comparisons[0].withheld
    for item in range(70, 95):
        rows[2 * item + 1] = row(2 * item + 1, error="timeout")
    analysis = _analyse(rows, 100)
    comparison = analysis.comparisons[0]
    assert comparison.ci_low is not None
    assert comparison.ci_low > 0.0
    assert comparison.withheld
    assert "withheld" in findings.finding(analysis)
    assert "higher than" not in findings.finding(analysis)


def test_bounds_hold_for_every_metric_between_0_and_1_and_for_no_other() -> None:
    rows = _one_repeat(30, 12, 58)
    rows[1] = row(1, error="timeout")
    found = {
        each.metric: each for each in _analyse(rows, 100, metrics=("accuracy", "cost_per_query")).comparisons
    }
    assert (found["accuracy"].worst, found["accuracy"].best) == pytest.approx((0.17, 0.18))
    assert found["cost_per_query"].worst is None


def test_trials_that_never_began_are_left_out_of_the_bounds() -> None:
    rows = _one_repeat(30, 5, 15)
    analysis = _analyse(rows, 100, hypotheses=(hypothesis("better"),))
    assert analysis.conditions["single"].completeness.pending == 50
    assert analysis.hypotheses[0].verdict == "supported"
    assert analysis.comparisons[0].worst == analysis.comparisons[0].estimate


@pytest.mark.parametrize(
    ("outcome", "relation", "worst", "best", "flips"),
    [
        ("supported", "superiority", 0.06, 0.2, False),
        ("supported", "superiority", 0.04, 0.2, True),
        ("refuted", "superiority", -0.1, 0.06, True),
        ("reversed", "superiority", -0.1, -0.01, False),
        ("supported", "non_inferiority", -0.04, 0.1, False),
        ("refuted", "non_inferiority", -0.2, -0.04, True),
        ("supported", "equivalence", -0.04, 0.06, True),
        ("refuted", "equivalence", 0.06, 0.2, False),
        ("not_decided", "superiority", -1.0, 1.0, False),
    ],
)
def test_a_verdict_flips_when_a_bound_crosses_its_edge(
    outcome: Any, relation: str, worst: float, best: float, flips: bool
) -> None:
    assert could_flip(outcome, hypothesis("", margin=0.05, relation=relation), worst, best) is flips


def test_latency_quantiles_are_in_ms_count_timeouts_as_slower_and_need_enough_items() -> None:
    rows = [row(2 * i, latency_us=1000 * (i + 1)) for i in range(100)] + [row(2 * i + 1) for i in range(100)]
    rows[99] = row(198, error="timeout")
    metrics = (
        _analyse(rows, 100, metrics=("latency_p50", "latency_p95", "latency_p99"))
        .conditions["single"]
        .metrics
    )
    assert metrics["latency_p50"].value == pytest.approx(50.5)
    assert metrics["latency_p50"].censored == 1
    assert metrics["latency_p50"].ci_low is not None
    assert metrics["latency_p99"].value is None
    other = _analyse(rows, 100, metrics=("latency_p99",)).conditions["ensemble"].metrics["latency_p99"]
    assert (other.value, other.ci_low) == (1000.0, None)
    assert "368" in other.method


def test_cost_counts_answered_trials_for_the_metric_and_all_kept_rows_for_the_spend() -> None:
    rows = _one_repeat(2, 2, 6)
    rows[0] = row(0, error="timeout", cost_usd=0.5)
    rows[2] = row(2, cost_usd=None)
    condition = _analyse(rows, 10).conditions["single"]
    assert condition.metrics["cost_per_query"].value == pytest.approx(0.001)
    assert condition.metrics["cost_per_query"].n == 8
    assert (condition.spend.failed_usd, condition.spend.unpriced) == (0.5, 1)


def test_nothing_answered_gives_nulls_and_a_reason_rather_than_a_crash() -> None:
    analysis = _analyse([], 10, hypotheses=(hypothesis("better"),))
    assert analysis.conditions["single"].metrics["accuracy"].value is None
    assert analysis.comparisons[0].test is None
    assert analysis.hypotheses[0].verdict == "not_decided"
    assert "two items" in analysis.hypotheses[0].reason


def test_members_are_scored_alone_and_the_best_is_named() -> None:
    def call(member: int, text: str | None, outcome: str = "ok", attempt: int = 0) -> dict[str, Any]:
        return {"call": member, "attempt": attempt, "model": f"m{member}", "outcome": outcome, "text": text}

    rows = []
    for item in range(20):
        calls = [
            call(0, "A" if item < 12 else "B"),
            call(1, None, outcome="rate_limit"),
            call(1, "A" if item < 15 else "?", attempt=1),
            call(2, "A", outcome="ok") if item < 5 else call(2, None, outcome="timeout"),
        ]
        rows += [row(2 * item), row(2 * item + 1, calls=calls)]
    analysis = reduce(plan(20), batches(rows, 7), member_score=lambda _c, _m, _i, text, _r: int(text == "A"))
    members = analysis.conditions["ensemble"].members
    assert [members[name].accuracy.value for name in ("m0", "m1", "m2")] == [0.6, 0.75, 1.0]
    assert members["m2"].accuracy.n == 5
    assert members["m1"].model == "m1-2024"
    assert analysis.conditions["ensemble"].best_member == "m2"
    assert analysis.conditions["single"].members == {}


def test_analysis_json_has_the_shape_that_was_promised() -> None:
    tree = json.loads(encode(_analyse(_one_repeat(30, 12, 58), 100, hypotheses=(hypothesis("better"),))))
    accuracy = tree["conditions"]["ensemble"]["accuracy"]
    assert accuracy.keys() >= {"value", "ci_low", "ci_high", "n"}
    assert "completeness" in tree["conditions"]["ensemble"]
    assert tree["comparisons"][0].keys() >= {
        "metric", "a", "b", "estimate", "ci_low", "ci_high", "p_value", "test", "reason", "naive",
    }  # fmt: skip
    assert tree["hypotheses"][0].keys() >= {"text", "verdict", "estimate", "ci_low", "ci_high"}
    assert tree["custom"] == {}
    assert accuracy["ci_low"] == float(f"{accuracy['ci_low']:.12g}")


def test_the_bytes_do_not_depend_on_how_rows_were_batched_or_ordered() -> None:
    rng = np.random.default_rng(3)
    rows = [
        row(t, int(rng.random() < 0.7), latency_us=int(rng.exponential(1e6)), cost_usd=float(rng.random()))
        for t in range(600)
    ]
    asked: Plan = plan(100, 3, hypotheses=(hypothesis("better"),))
    shuffled = [rows[i] for i in rng.permutation(600)]
    assert encode(reduce(asked, batches(rows, 600))) == encode(reduce(asked, batches(shuffled, 17)))


def test_a_declared_baseline_takes_the_first_conditions_place() -> None:
    analysis = _analyse(_one_repeat(30, 12, 58), 100, analysis=AnalysisPlan(baseline="ensemble"))
    assert (analysis.comparisons[0].a, analysis.comparisons[0].b) == ("single", "ensemble")
    assert analysis.comparisons[0].estimate == pytest.approx(-0.18)


def test_an_unknown_metric_is_refused_by_name() -> None:
    with pytest.raises(SpecError, match="bleu"):
        _analyse([], 10, metrics=("accuracy", "bleu"))


def test_a_million_rows_are_reduced_in_seconds() -> None:
    rng = np.random.default_rng(4)
    count = 1_000_000
    table = pa.table(
        {
            "trial": np.arange(count),
            "error": pa.nulls(count, pa.string()),
            "correct": (rng.random(count) < 0.8).astype(np.int64),
            "latency_us": rng.exponential(1e6, count).astype(np.int64),
            "cost_usd": rng.random(count),
            "consensus": pa.nulls(count, pa.float64()),
        }
    )
    asked = plan(100_000, 5, hypotheses=(hypothesis("better"), hypothesis("five better", margin=0.05)))
    started = time.process_time()
    reduce(asked, table.to_batches(max_chunksize=50_000))
    assert time.process_time() - started < 10
