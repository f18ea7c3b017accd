"""Pairs of conditions: the default decision on each, and the verdicts on the declared hypotheses."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from crucible_ray.errors import StatsError
from crucible_ray.metrics.registry import metric_of
from crucible_ray.reduction.analysis import Comparison, HypothesisResult, Naive
from crucible_ray.reduction.missing import bounds, could_flip, missing_p, sign_could_flip
from crucible_ray.reduction.table import Table
from crucible_ray.stats.decision import PairedDecision, paired_difference
from crucible_ray.stats.result import TestResult
from crucible_ray.stats.verdicts import Verdict, family_levels, interval_alpha, verdict

if TYPE_CHECKING:
    from crucible_ray.experiment.plan import HypothesisPlan, Plan

COMPARED = ("accuracy", "latency_mean", "cost_per_query")
"""Metrics that are compared with the baseline whether or not a hypothesis asks."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """One metric of two conditions, a - b; conditions by position."""

    metric: str
    a: int
    b: int


def compare(plan: Plan, table: Table) -> tuple[tuple[Comparison, ...], tuple[HypothesisResult, ...]]:
    """All comparisons with the baseline, those that hypotheses ask for, and the verdicts."""
    asked, pairs = _pairs(plan)
    alpha = round(1 - plan.analysis.confidence, 12)
    found = {pair: _comparison(plan, table, pair, alpha, exploratory=pair not in asked) for pair in pairs}
    return tuple(found.values()), _verdicts(plan, table, asked, found)


def compare_part(plan: Plan, table: Table) -> tuple[Comparison, ...]:
    """The same comparisons over some of the items; exploratory, since hypotheses are about all of them."""
    alpha = round(1 - plan.analysis.confidence, 12)
    return tuple(_comparison(plan, table, pair, alpha, exploratory=True) for pair in _pairs(plan)[1])


def _pairs(plan: Plan) -> tuple[list[_Pair], list[_Pair]]:
    """What each hypothesis asks for, in their order; and everything that is compared, once."""
    index = {condition.name: position for position, condition in enumerate(plan.conditions)}
    baseline = index[plan.analysis.baseline] if plan.analysis.baseline is not None else 0
    asked = [_Pair(h.metric, index[h.a], index[h.b]) for h in plan.hypotheses]
    compared = {*COMPARED, *(own.name for own in plan.own_metrics)}
    pairs = [
        _Pair(name, other, baseline)
        for name in plan.metrics
        if name in compared
        for other in range(len(plan.conditions))
        if other != baseline and _Pair(name, baseline, other) not in asked
    ]
    return asked, list(dict.fromkeys([*asked, *pairs]))


def compare_two(plan: Plan, table: Table, name: str, a: str, b: str) -> Comparison:
    """One metric of any two conditions, a - b, decided as `compare` does. Raises SpecError for an unknown metric."""
    metric_of(plan, name)
    index = {condition.name: position for position, condition in enumerate(plan.conditions)}
    alpha = round(1 - plan.analysis.confidence, 12)
    return _comparison(plan, table, _Pair(name, index[a], index[b]), alpha, exploratory=True)


def _sharing(plan: Plan, pair: _Pair) -> tuple[str, ...]:
    """Says so where two conditions stand on the same draws of a model."""
    if not plan.share_replies:
        return ()
    a, b = plan.conditions[pair.a], plan.conditions[pair.b]
    asked = [
        {
            (
                call.model.base_url,
                call.model.model,
                call.temperature,
                call.max_tokens,
                repr(call.extra),
                repr(prompt),
            )
            for call, prompt in zip(each.calls, each.prompts, strict=True)
        }
        for each in (a, b)
    ]
    if not asked[0] & asked[1] and a.function is None and b.function is None:
        return ()
    return (
        f"{a.name} and {b.name} share replies: the difference is one between conditions with the same draws",
    )


def _decide(plan: Plan, table: Table, pair: _Pair, alpha: float) -> PairedDecision:
    declared = metric_of(plan, pair.metric)
    if not declared.per_trial:
        raise StatsError("quantiles of latency are not compared by this version; compare latency_mean")
    control, treatment = (table.values(declared.column, index) for index in (pair.b, pair.a))
    return paired_difference(
        control,
        treatment,
        bounded=declared.kind in ("binary", "proportion"),
        alpha=alpha,
        strata=table.strata,
    )


def _comparison(plan: Plan, table: Table, pair: _Pair, alpha: float, *, exploratory: bool) -> Comparison:
    names = plan.conditions[pair.a].name, plan.conditions[pair.b].name
    try:
        decision = _decide(plan, table, pair, alpha)
    except StatsError as nothing:
        return Comparison(
            metric=pair.metric,
            a=names[0],
            b=names[1],
            estimate=None,
            ci_low=None,
            ci_high=None,
            p_value=None,
            test=None,
            reason=str(nothing),
            naive=None,
            exploratory=exploratory,
        )
    worst, best = bounds(plan, table, pair.metric, pair.a, pair.b)
    result = decision.result
    return Comparison(
        metric=pair.metric,
        a=names[0],
        b=names[1],
        estimate=result.estimate,
        ci_low=result.ci_low,
        ci_high=result.ci_high,
        p_value=result.p_value,
        test=result.test,
        reason=decision.reason,
        naive=_naive(decision.naive),
        statistic=result.statistic,
        df=result.df,
        items=decision.items,
        differing=decision.differing,
        decidable=decision.decidable,
        notes=(*result.notes, *_sharing(plan, pair)),
        worst=worst,
        best=best,
        missing_p=missing_p(table, pair.a, pair.b),
        withheld=sign_could_flip(result.ci_low, result.ci_high, worst, best),
        exploratory=exploratory,
    )


def _naive(result: TestResult | None) -> Naive | None:
    if result is None or result.estimate is None:
        return None
    return Naive(
        test=result.test,
        estimate=result.estimate,
        ci_low=result.ci_low,
        ci_high=result.ci_high,
        p_value=result.p_value,
        n=result.n,
    )


def _verdicts(
    plan: Plan, table: Table, asked: list[_Pair], found: dict[_Pair, Comparison]
) -> tuple[HypothesisResult, ...]:
    judges = [
        partial(_verdict_at, plan, table, pair, hypothesis)
        for pair, hypothesis in zip(asked, plan.hypotheses, strict=True)
    ]
    levels = family_levels(judges, plan.analysis.alpha, plan.analysis.correction)
    single = plan.analysis.alpha / max(len(judges), 1)
    return tuple(
        _hypothesis(plan, table, pair, hypothesis, found[pair], level, judge(single))
        for pair, hypothesis, level, judge in zip(asked, plan.hypotheses, levels, judges, strict=True)
    )


def _verdict_at(plan: Plan, table: Table, pair: _Pair, hypothesis: HypothesisPlan, level: float) -> Verdict:
    try:
        decision = _decide(plan, table, pair, interval_alpha(level, hypothesis.relation))
    except StatsError:  # nothing to compare: the comparison's reason says what
        return "not_decided"
    result = decision.result
    if not decision.decidable or result.ci_low is None or result.ci_high is None:
        return "not_decided"
    return verdict(result.ci_low, result.ci_high, hypothesis.relation, hypothesis.margin)


def _hypothesis(
    plan: Plan,
    table: Table,
    pair: _Pair,
    hypothesis: HypothesisPlan,
    comparison: Comparison,
    level: float,
    bonferroni: Verdict,
) -> HypothesisResult:
    alpha = interval_alpha(level, hypothesis.relation)
    outcome: Verdict = _verdict_at(plan, table, pair, hypothesis, level)
    estimate = low = high = None
    reason = comparison.reason
    if comparison.test is not None:
        decision = _decide(plan, table, pair, alpha)
        estimate, low, high = decision.result.estimate, decision.result.ci_low, decision.result.ci_high
        reason = _why(decision, outcome)
        if could_flip(outcome, hypothesis, comparison.worst, comparison.best):
            reason = (
                f"failed trials could turn it: with them the difference lies between {comparison.worst:+.4f} "
                f"and {comparison.best:+.4f} (on what was answered alone: {outcome})"
            )
            outcome = bonferroni = "not_decided"
    return HypothesisResult(
        text=hypothesis.text,
        verdict=outcome,
        estimate=estimate,
        ci_low=low,
        ci_high=high,
        reason=reason,
        metric=hypothesis.metric,
        a=hypothesis.a,
        b=hypothesis.b,
        relation=hypothesis.relation,
        margin=hypothesis.margin,
        confidence=1 - alpha,
        bonferroni=bonferroni,
    )


def _why(decision: PairedDecision, outcome: Verdict) -> str:
    if not decision.decidable:
        return f"too few differing items to decide ({decision.differing} of {decision.items})"
    if decision.result.ci_low is None:
        return decision.result.notes[0]
    return {
        "supported": "the whole interval lies where the hypothesis says",
        "refuted": "the whole interval lies outside what the hypothesis says",
        "reversed": "the whole interval lies on the other side of zero",
        "not_decided": "the interval holds values for and against the hypothesis",
    }[outcome]
