"""Which comparisons are counted together, and that each is one decision: interval, p and verdict agree."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from msgspec import UNSET

from crucible_ray import stats
from crucible_ray.errors import StatsError
from crucible_ray.experiment.plan import AnalysisPlan, DatasetPlan, OwnMetricPlan, Plan
from crucible_ray.records import Item
from crucible_ray.reduction import Analysis, encode, reduce
from crucible_ray.reduction.analysis import Comparison, decode
from crucible_ray.reduction.beside import OF_GROUPS
from crucible_ray.settings import EFFECT_SIZES
from tests.reduction.rows import batches, condition, hypothesis, model, plan, row

NAMES = ("a", "b", "c")
THREE = tuple(condition(name, [model(f"m{k}")]) for k, name in enumerate(NAMES))


def _rows(
    items: int, conditions: int = 2, *, repeats: int = 1, seed: int = 0, lift: float = 0.12
) -> list[dict[str, Any]]:
    """Each condition is better, slower and dearer than the one before it; items differ in difficulty."""
    rng = np.random.default_rng(seed)
    level = rng.beta(3, 2, items)
    rows = []
    for trial in range(items * repeats * conditions):
        k, item = trial % conditions, trial // conditions // repeats
        rows.append(
            row(
                trial,
                int(rng.random() < level[item] + k * lift),
                latency_us=int(1e6 * rng.lognormal(level[item] + 0.2 * k, 0.3)),
                cost_usd=0.001 * float(rng.lognormal(0.5 * k, 0.2)),
            )
        )
    return rows


def _found(analysis: Analysis, metric: str, a: str, b: str) -> Comparison:
    return next(each for each in analysis.comparisons if (each.metric, each.a, each.b) == (metric, a, b))


def _analyse(rows: list[dict[str, Any]], asked: Plan, **how: Any) -> Analysis:
    return reduce(asked, batches(rows), **how)


METRICS = ("accuracy", "latency_mean", "latency_p50", "latency_p95", "cost_per_query", "cost_per_correct")


def test_the_families_are_what_hypotheses_ask_what_else_they_name_and_the_rest() -> None:
    asked = plan(
        200, conditions=THREE, metrics=METRICS, hypotheses=(hypothesis("c is better", a="c", b="a"),)
    )
    analysis = _analyse(_rows(200, 3), asked)
    families = {(each.metric, each.a, each.b): each.family for each in analysis.comparisons}
    assert [key for key, family in families.items() if family == "primary"] == [("accuracy", "c", "a")]
    assert {key for key, family in families.items() if family == "secondary"} == {
        (metric, "c", "a") for metric in METRICS[1:]
    }
    assert {key for key, family in families.items() if family == "exploratory"} == {
        (metric, "b", "a") for metric in METRICS
    }
    assert analysis.families is not None
    assert (analysis.families.primary, analysis.families.secondary, analysis.families.exploratory) == (
        1,
        5,
        6,
    )


def test_the_second_family_is_decided_by_holm_once_every_hypothesis_is_supported() -> None:
    asked = plan(200, metrics=METRICS, hypotheses=(hypothesis("better"),))
    analysis = _analyse(_rows(200), asked)
    assert analysis.families is not None
    assert analysis.families.open
    second = [each for each in analysis.comparisons if each.family == "secondary"]
    assert not any(each.exploratory for each in second)
    p_values = [each.p_value for each in second]
    assert all(p is not None for p in p_values)
    adjusted = [each.adjusted for each in second]
    assert [each.p_value for each in adjusted if each] == pytest.approx(list(stats.correct(p_values, "holm")))  # type: ignore[arg-type]
    assert {each.comparisons for each in adjusted if each} == {5}


def test_the_second_family_is_not_decided_while_a_hypothesis_is_open() -> None:
    asked = plan(
        200, metrics=METRICS, hypotheses=(hypothesis("better"), hypothesis("much better", margin=0.3))
    )
    analysis = _analyse(_rows(200), asked)
    assert analysis.families is not None
    assert not analysis.families.open
    assert "1 of 2 hypotheses" in analysis.families.reason
    second = [each for each in analysis.comparisons if each.family == "secondary"]
    assert all(each.exploratory and each.adjusted is None for each in second)
    assert all(each.p_value is not None for each in second)


def _agrees(found: Any, alpha: float) -> None:
    assert found.p_value is not None
    low, high = found.ci_low, found.ci_high
    assert (found.p_value < alpha) == ((low is not None and low > 0) or (high is not None and high < 0))


@pytest.mark.parametrize("seed", range(5))
def test_interval_p_and_verdict_of_everything_that_is_compared_agree(seed: int) -> None:
    claims = (
        hypothesis("c better", a="c", b="a"),
        hypothesis("c better by 3", a="c", b="a", margin=0.03),
        hypothesis("b not worse", a="b", b="a", margin=0.05, relation="non_inferiority"),
        hypothesis("alike", a="b", b="a", margin=0.1, relation="equivalence"),
        hypothesis("slower", a="c", b="a", metric="latency_p50"),
    )
    for correction in ("holm", "bonferroni", "none", "fdr"):
        asked = plan(
            120,
            conditions=THREE,
            metrics=("accuracy", "latency_p50"),
            hypotheses=claims,
            analysis=AnalysisPlan(correction=correction, bootstrap_iterations=999, check_assumptions=False),
        )
        analysis = _analyse(_rows(120, 3, seed=seed, lift=0.03 * (seed % 3)), asked)
        for found in analysis.comparisons:
            _agrees(found, 0.05)
            if found.adjusted is not None:
                _agrees(found.adjusted, 0.05)
                assert found.adjusted.differs == (found.adjusted.p_value < 0.05)  # type: ignore[operator]
        for claim in analysis.hypotheses:
            assert claim.p_adjusted is not None
            assert claim.p_value is not None
            assert (claim.verdict != "not_decided") == (claim.p_adjusted < 0.05)
            assert claim.p_adjusted >= claim.p_value
            assert (claim.bonferroni != "not_decided") == (claim.p_value < 0.05 / 5)
            assert claim.bonferroni_low is not None
            assert claim.plain_low is not None
            assert claim.ci_low is not None
            assert claim.bonferroni_low <= claim.ci_low <= claim.plain_low


def test_p_of_a_hypothesis_is_against_its_margin_and_that_of_an_equivalence_is_of_two_one_sided_tests() -> (
    None
):
    rows = _rows(300, lift=0.02, seed=3)
    right = np.array([each["correct"] for each in rows], float).reshape(-1, 2)
    alike = hypothesis("alike", margin=0.1, relation="equivalence")
    asked = plan(300, hypotheses=(hypothesis("better by 3", margin=0.03), alike))
    margin, equal = _analyse(rows, asked).hypotheses
    assert margin.p_value == pytest.approx(
        stats.compare(right[:, 0], right[:, 1], paired=True, margin=0.03).p_value
    )
    theirs = stats.tost(right[:, 0], right[:, 1], margin=0.1, paired=True)
    assert equal.p_value == pytest.approx(theirs.p_value, rel=1e-6)


def test_three_conditions_have_a_test_over_all_and_one_family_with_the_baseline() -> None:
    analysis = _analyse(_rows(150, 3), plan(150, conditions=THREE, metrics=("accuracy", "latency_mean")))
    accuracy, latency = analysis.groups
    assert (accuracy.test, latency.test) == ("cochran_q", "repeated_measures_anova")
    assert accuracy.against == "a"
    assert [(each.a, each.b) for each in accuracy.pairs] == [("b", "a"), ("c", "a")]
    for pair in accuracy.pairs:
        found = _found(analysis, "accuracy", pair.a, pair.b)
        assert (found.p_value, found.estimate) == (pair.p_value, pair.estimate)
        assert found.adjusted is not None
        assert (found.adjusted.method, found.adjusted.p_value) == ("max_t", pair.p_adjusted)
        assert (found.adjusted.ci_low, found.adjusted.ci_high) == (pair.ci_low, pair.ci_high)
    assert "the same items, 3 conditions" in accuracy.reason
    assert accuracy.naive_p is not None


def test_every_two_conditions_are_compared_where_that_is_asked_for() -> None:
    asked = plan(
        150, conditions=THREE, metrics=("accuracy", "latency_p50"), analysis=AnalysisPlan(pairs="all")
    )
    analysis = _analyse(_rows(150, 3), asked)
    pairs = {(each.a, each.b) for each in analysis.comparisons if each.metric == "accuracy"}
    assert pairs == {("b", "a"), ("c", "a"), ("c", "b")}
    assert len(analysis.groups) == 1
    assert analysis.groups[0].against is None
    adjusted = [each.adjusted for each in analysis.comparisons]
    assert [(each.method, each.comparisons) for each in adjusted if each] == [("max_t", 3)] * 3 + [
        ("holm", 3)
    ] * 3


def test_a_pair_that_a_hypothesis_turns_round_keeps_its_sign_in_the_family() -> None:
    asked = plan(
        150,
        conditions=THREE,
        metrics=("accuracy", "latency_mean"),
        hypotheses=(hypothesis("x", a="a", b="c"),),
    )
    analysis = _analyse(_rows(150, 3, lift=0.0), asked)
    found = _found(analysis, "latency_mean", "a", "c")
    group = next(each for each in analysis.groups if each.metric == "latency_mean")
    pair = next(each for each in group.pairs if each.a == "c")
    assert found.adjusted is not None
    assert pair.ci_high is not None
    assert found.adjusted.ci_low == -pair.ci_high
    assert found.estimate == pytest.approx(-pair.estimate)


def _items(count: int, per_cluster: int, *, datasets: int = 1) -> list[Item]:
    """A field that names each item's passage; the second dataset's passages are called as those of the first."""
    part = count // datasets
    return [
        Item(
            id=str(k),
            input="?",
            metadata={"passage": f"p{k % part // per_cluster}"},
            dataset=f"d{k // part}" if datasets > 1 else UNSET,
        )
        for k in range(count)
    ]


def test_clusters_take_the_items_place_and_ignoring_them_is_the_naive_answer() -> None:
    rng = np.random.default_rng(4)
    shared = rng.random(24).repeat(5) < 0.6
    rows = []
    for k in range(120):
        for c in range(2):
            hit = int(shared[k] if c else rng.random() < 0.5)
            rows.append(row(2 * k + c, hit, latency_us=1000 + int(rng.integers(500))))
    asked = plan(120, metrics=("accuracy", "latency_p50"), analysis=AnalysisPlan(cluster="passage"))
    analysis = _analyse(rows, asked, items=_items(120, 5))
    found, quantile = analysis.comparisons
    right = np.array([each["correct"] for each in rows], float).reshape(-1, 2)
    theirs = stats.compare(right[:, 0], right[:, 1], paired=True, clusters=np.arange(24).repeat(5))
    assert (found.test, found.p_value, found.ci_low) == ("cluster_t", theirs.p_value, theirs.ci_low)
    assert (found.unit, found.units, found.items, quantile.units) == ("passage", 24, 120, 24)
    assert found.naive is not None
    assert found.naive.test == "clustered_t"
    assert (found.naive.p_value or 1) < (found.p_value or 0)
    accuracy = analysis.conditions["ensemble"].metrics["accuracy"]
    assert (accuracy.items, accuracy.n) == (120, 120)
    assert "24 clusters are the unit" in accuracy.method
    width, by_item = (accuracy.ci_high or 0) - (accuracy.ci_low or 0), stats.wilson(right[:, 1].sum(), 120)
    assert width > 1.5 * (by_item.high - by_item.low)


def test_few_clusters_are_said_and_clusters_without_items_are_refused() -> None:
    asked = plan(40, metrics=("accuracy",), analysis=AnalysisPlan(cluster="passage"))
    found = _analyse(_rows(40), asked, items=_items(40, 8)).comparisons[0]
    assert any("5 clusters: with fewer than 10 the interval is rough" in note for note in found.notes)
    with pytest.raises(StatsError, match="clusters are read off the items"):
        _analyse(_rows(40), asked)


def test_clusters_of_two_datasets_are_different_even_under_one_name() -> None:
    parts = tuple(DatasetPlan(name=f"d{k}", version="", checksum="", items=60) for k in range(2))
    asked = plan(120, metrics=("accuracy",), datasets=parts, analysis=AnalysisPlan(cluster="passage"))
    analysis = _analyse(_rows(120), asked, items=_items(120, 6, datasets=2))
    assert analysis.comparisons[0].units == 20
    assert any("datasets are pooled" in note for note in analysis.comparisons[0].notes)
    assert [each.comparisons[0].units for each in analysis.datasets.values()] == [10, 10]


def test_ordinal_scores_are_decided_by_sign_flips_and_have_a_verdict() -> None:
    score = OwnMetricPlan(name="score", kind="ordinal")
    declared = hypothesis("higher scores", metric="score")
    asked = plan(80, metrics=("accuracy", "score"), own_metrics=(score,), hypotheses=(declared,))
    rows = _rows(80)
    rng = np.random.default_rng(6)
    grades = [int(np.clip(rng.integers(1, 5) + trial % 2, 1, 5)) for trial in range(160)]
    own = pa.record_batch({"trial": np.arange(160), "score": np.array(grades, float)})
    analysis = _analyse(rows, asked, own=[own])
    found = _found(analysis, "score", "ensemble", "single")
    assert found.test == "sign_flip"
    assert [each.test for each in found.others] == ["paired_t", "ordered_logit"]
    assert [each.measure for each in found.sizes] == ["cliffs_delta", "rank_biserial"]
    assert analysis.hypotheses[0].verdict == "supported"
    assert (found.ci_low or 0) > 0


def test_a_quantile_is_decided_from_enough_items_on_and_else_describes() -> None:
    declared = (hypothesis("slower", metric="latency_p95"),)
    asked = plan(71, metrics=("latency_p95",), hypotheses=declared)
    analysis = _analyse(_rows(71), asked)
    assert analysis.hypotheses[0].verdict == "not_decided"
    assert (
        analysis.hypotheses[0].reason == "descriptive: 71 items, and an interval for quantile 0.95 needs 72"
    )
    assert analysis.comparisons[0].estimate is not None
    enough = _analyse(_rows(400, seed=1), plan(400, metrics=("latency_p95",), hypotheses=declared))
    assert enough.comparisons[0].test == "quantile_bootstrap"
    assert enough.hypotheses[0].verdict == "supported"
    assert enough.hypotheses[0].ci_low == enough.comparisons[0].ci_low


def test_timeouts_make_a_quantile_no_larger_than_it_can_be_known() -> None:
    rows = _rows(200)
    for k in range(6):
        rows[2 * k + 1] = row(2 * k + 1, error="timeout")
    declared = (hypothesis("slower", metric="latency_p95"),)
    analysis = _analyse(rows, plan(200, metrics=("latency_p95",), hypotheses=declared))
    found = analysis.comparisons[0]
    assert found.ci_high is None
    assert found.ci_low is not None
    assert (analysis.hypotheses[0].verdict == "supported") == (found.ci_low > 0)


def test_dollars_per_right_answer_are_a_ratio_of_totals_of_each_condition_and_their_difference() -> None:
    rows = _rows(200)
    analysis = _analyse(rows, plan(200, metrics=("cost_per_correct",)))
    cost, right = (
        np.array([each[name] for each in rows], float).reshape(-1, 2) for name in ("cost_usd", "correct")
    )
    shares = [cost[:, k].sum() / right[:, k].sum() for k in range(2)]
    single = analysis.conditions["single"].metrics["cost_per_correct"]
    assert single.value == pytest.approx(shares[0])
    assert (single.ci_low, single.ci_high) == (
        stats.ratio_ci(cost[:, 0], right[:, 0]).ci_low,
        stats.ratio_ci(cost[:, 0], right[:, 0]).ci_high,
    )
    assert analysis.comparisons[0].estimate == pytest.approx(shares[1] - shares[0])
    none = [row(t, 0, cost_usd=0.001) for t in range(40)]
    found = _analyse(none, plan(20, metrics=("cost_per_correct",))).comparisons[0]
    assert (found.test, found.estimate) == (None, None)
    assert "there is no ratio" in found.reason


def test_what_stands_beside_a_comparison_is_that_of_the_room_of_statistics() -> None:
    rows = _rows(120)
    analysis = _analyse(rows, plan(120, metrics=("accuracy", "latency_mean")))
    accuracy, latency = analysis.comparisons
    right = np.array([each["correct"] for each in rows], float).reshape(-1, 2)
    h = stats.cohens_h(right[:, 0], right[:, 1])
    size = accuracy.sizes[0]
    assert (size.measure, size.value, size.ci_low, size.magnitude) == (
        "cohens_h",
        h.value,
        h.ci_low,
        h.magnitude,
    )
    times = np.array([each["latency_us"] for each in rows]).reshape(-1, 2) / 1000
    normality, spread = latency.checks
    assert normality.p_value == stats.shapiro_wilk(times[:, 1] - times[:, 0]).p_value
    assert (spread.df, spread.df_error) == (1, 238)
    assert spread.apa.startswith("F(1, 238) = ")
    diff = times[:, 1] - times[:, 0]
    planned = stats.detectable_effect("paired_continuous", n=120, sd=float(diff.std(ddof=1)))
    assert latency.detectable == pytest.approx(planned, rel=1e-6)
    assert latency.apa == stats.compare(times[:, 0], times[:, 1], paired=True).apa()


def test_data_that_are_not_normal_are_said_with_the_alternative() -> None:
    rows = _rows(60)
    for each in rows[::14]:
        each["latency_us"] *= 30
    found = _analyse(rows, plan(60, metrics=("latency_mean",))).comparisons[0]
    assert found.test == "clustered_t"
    assert any("not normally distributed" in note and "wilcoxon" in note for note in found.notes)
    assert [each.test for each in found.others] == ["wilcoxon", "paired_permutation"]


def test_an_effect_size_that_the_data_have_not_says_why() -> None:
    asked = plan(60, metrics=("accuracy",), analysis=AnalysisPlan(effect_sizes=("odds_ratio", "cohens_d")))
    right = [row(t, 1) for t in range(120)]
    sizes = _analyse(right, asked).comparisons[0].sizes
    assert [(each.measure, each.value) for each in sizes] == [("odds_ratio", None), ("cohens_d", None)]
    assert sizes[0].notes == ("the outcome is the same everywhere: no ratio of odds or shares is defined",)


def test_every_effect_size_by_name_stands_in_analysis_json_or_says_why_not() -> None:
    asked = plan(
        80,
        conditions=THREE,
        metrics=("accuracy", "latency_mean"),
        analysis=AnalysisPlan(effect_sizes=EFFECT_SIZES),
    )
    analysis = _analyse(_rows(80, 3), asked)
    assert decode(encode(analysis)).comparisons[0].a == "b"
    for found in analysis.comparisons:
        assert tuple(each.measure for each in found.sizes) == EFFECT_SIZES
        assert all(each.value is not None or each.notes for each in found.sizes)
    undefined = {each.measure for each in analysis.comparisons[0].sizes if each.value is None}
    assert undefined == set()
    numbers = {each.measure for each in analysis.comparisons[2].sizes if each.value is None}
    assert numbers == {"odds_ratio", "risk_ratio", "cohens_h", "cramers_v"}
    assert {each.measure for each in analysis.groups[0].sizes} == set(OF_GROUPS)


def test_a_margin_that_was_not_cleared_says_how_many_items_would_clear_it() -> None:
    asked = plan(200, hypotheses=(hypothesis("5 better", margin=0.05), hypothesis("better")))
    with_margin, without = _analyse(_rows(200, lift=0.04), asked).hypotheses
    assert with_margin.needed is not None
    assert with_margin.needed.effect == pytest.approx(0.08)
    assert with_margin.needed.discordant[:2] == (0.10, 0.16)
    assert with_margin.needed.items[:2] == (817, 1340)
    assert without.needed is None


def test_results_of_an_earlier_version_still_load() -> None:
    tree = json.loads(encode(_analyse(_rows(50), plan(50, hypotheses=(hypothesis("better"),)))))
    later = {
        "family",
        "adjusted",
        "unit",
        "units",
        "apa",
        "sizes",
        "checks",
        "others",
        "detectable",
        "achieved_power",
    }
    for each in tree["comparisons"]:
        for name in (*later, "desired_power"):
            del each[name]
    for each in tree["hypotheses"]:
        for name in ("p_value", "p_adjusted", "plain_low", "plain_high", "plain_confidence", "needed"):
            del each[name]
    del tree["families"], tree["groups"]
    assert decode(json.dumps(tree).encode()).comparisons[0].apa == ""
