"""What an analysis says of a run that could stop early: read off the rule that could stop it, whatever stopped it.

A test that takes the number of items for fixed does not hold its level there; it stands beside, under its own name.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from msgspec import UNSET
from msgspec.structs import replace

from crucible_ray.reduction.analysis import Comparison, FixedSample, HypothesisResult, Sequential
from crucible_ray.reduction.peeking import Ints, Sequence, bounds, increments, level_of, look_items, outcomes
from crucible_ray.stats.claims import ClaimResult, judge_claim
from crucible_ray.stats.inputs import item_means
from crucible_ray.stats.looks import LookResult, judge_look, repeated_p

if TYPE_CHECKING:
    from crucible_ray.experiment.plan import HypothesisPlan, Plan
    from crucible_ray.reduction.table import Table

TESTS = {"decided": "betting_sequence", "looks": "obrien_fleming"}


class Reading(NamedTuple):
    """An analysis under a `stop_when`."""

    sequential: Sequential
    comparisons: tuple[Comparison, ...]
    hypotheses: tuple[HypothesisResult, ...]


class _Found(NamedTuple):
    """What the rule says of one claim."""

    judged: ClaimResult | LookResult
    p_value: float
    items: Ints
    """Those that it is about, in their order."""
    where: str


def read(
    plan: Plan, table: Table, comparisons: tuple[Comparison, ...], hypotheses: tuple[HypothesisResult, ...]
) -> Reading:
    """Verdicts, intervals and p-values by the plan's `stop_when`; what is given stands beside them as `fixed`."""
    found = Sequence(plan, table)
    asked = {(h.metric, h.a, h.b): h for h in plan.hypotheses}
    return Reading(
        sequential=_told(found),
        comparisons=tuple(
            _comparison(found, each, asked[each.metric, each.a, each.b])
            if (each.metric, each.a, each.b) in asked
            else each
            for each in comparisons
        ),
        hypotheses=tuple(
            _hypothesis(found, k, hypothesis, fixed)
            for k, (hypothesis, fixed) in enumerate(zip(plan.hypotheses, hypotheses, strict=True))
        ),
    )


def _told(found: Sequence) -> Sequential:
    plan, table = found.plan, found.table
    failed = np.zeros(plan.items, np.bool_)
    for k in range(len(plan.conditions)):
        failed |= table.failed(k).any(axis=1)
    return Sequential(
        rule=found.rule.rule,
        looks=tuple(look_items(plan)),
        looks_taken=found.looks,
        items=found.items,
        planned=plan.items,
        lost=int(np.count_nonzero(failed[found.counted()])),
        waiting=int(np.count_nonzero(found.complete)) - found.items,
        decided_at=found.decided_at,
        level=level_of(plan),
    )


def _judged(
    found: Sequence, hypothesis: HypothesisPlan, relation: str, margin: float, alpha: float, look: int
) -> _Found | None:
    """A claim on a hypothesis' difference, at the last planned look or one before it; None: nothing counts yet."""
    plan = found.plan
    total = f"{plan.items:,} items in the order fixed before the run"
    if found.rule.rule == "looks":
        if look < 0:
            return None
        ends = look_items(plan)
        items = found.counted(ends[look])
        claim = (found.rule.looks, look, bounds(plan, found.table, hypothesis, items), relation, margin)
        where = f"look {look + 1} of {len(ends)}, after {ends[look]:,} of {total}"
        return _Found(judge_look(*claim, alpha=alpha), repeated_p(*claim), items, where)
    if not found.items:
        return None
    items = found.counted()
    judged = judge_claim(*increments(plan, found.table, hypothesis, items), relation, margin, alpha=alpha)
    at = judged.decided_at or found.items
    return _Found(judged, judged.p_value, items, f"a betting sequence, after {at:,} of {total}")


def _hypothesis(
    found: Sequence, k: int, hypothesis: HypothesisPlan, fixed: HypothesisResult
) -> HypothesisResult:
    at = found.judgements[k].decided_at
    look = found.looks - 1 if at is None or not found.looks else look_items(found.plan).index(at)
    beside = _beside(fixed, fixed.confidence, verdict=fixed.verdict)
    level = level_of(found.plan)
    said = _judged(found, hypothesis, hypothesis.relation, hypothesis.margin, level, look)
    # Its level is alpha over their number from the start, so nothing is left to adjust; what a fixed sample would make
    # of the hypothesis alone has no place here.
    fixed = replace(fixed, plain_low=None, plain_high=None, needed=None)
    if said is None:
        return replace(
            fixed,
            verdict="not_decided",
            estimate=None,
            ci_low=None,
            ci_high=None,
            reason=_nothing(found),
            bonferroni="not_decided",
            bonferroni_low=None,
            bonferroni_high=None,
            p_value=None,
            p_adjusted=None,
            decided_at=None,
            fixed=beside,
        )
    judged = said.judged
    open_ = "the interval holds values for and against the hypothesis"
    return replace(
        fixed,
        verdict=judged.verdict,
        estimate=_estimate(found, hypothesis, said.items),
        ci_low=judged.ci_low,
        ci_high=judged.ci_high,
        reason=f"{said.where}: {open_ if judged.verdict == 'not_decided' else 'decided'}",
        confidence=judged.confidence,
        bonferroni=judged.verdict,
        bonferroni_low=judged.ci_low,
        bonferroni_high=judged.ci_high,
        p_value=said.p_value,
        p_adjusted=min(1.0, said.p_value * found.plan.analysis.alpha / level),
        e_value=judged.e_value if isinstance(judged, ClaimResult) else UNSET,
        decided_at=at,
        fixed=beside,
    )


def _comparison(found: Sequence, fixed: Comparison, hypothesis: HypothesisPlan) -> Comparison:
    """The difference by itself, against zero, at the analysis' confidence."""
    confidence = found.plan.analysis.confidence
    alpha = round(1 - confidence, 12)
    said = _judged(found, hypothesis, "superiority", 0.0, alpha, found.looks - 1)
    bare = replace(
        fixed,
        statistic=None,
        df=None,
        apa="",
        sizes=(),
        checks=(),
        others=(),
        detectable=None,
        achieved_power=None,
        adjusted=None,
        units=0,
        fixed=_beside(fixed, confidence, test=fixed.test),
    )
    if said is None:
        nothing = {"estimate": None, "ci_low": None, "ci_high": None, "p_value": None, "test": None}
        return replace(bare, **nothing, items=0, reason=_nothing(found))
    return replace(
        bare,
        estimate=_estimate(found, hypothesis, said.items),
        ci_low=said.judged.ci_low,
        ci_high=said.judged.ci_high,
        p_value=said.p_value,
        test=TESTS[found.rule.rule],
        reason=said.where,
        items=len(said.items),
        units=len(said.items),
    )


def _beside(
    fixed: Comparison | HypothesisResult,
    confidence: float,
    *,
    test: str | None = None,
    verdict: str | None = None,
) -> FixedSample:
    return FixedSample(
        test=test,
        estimate=fixed.estimate,
        ci_low=fixed.ci_low,
        ci_high=fixed.ci_high,
        p_value=fixed.p_value,
        confidence=confidence,
        verdict=verdict,
    )


def _nothing(found: Sequence) -> str:
    if found.rule.rule == "looks":
        return f"no planned look was reached: the first is after {look_items(found.plan)[0]:,} items"
    return "no item counts yet: every item before it in the order has to be complete"


def _estimate(found: Sequence, hypothesis: HypothesisPlan, items: Ints) -> float | None:
    """The mean difference over these items, of what was answered."""
    a, b = outcomes(found.plan, found.table, hypothesis, items)
    differences = item_means(a) - item_means(b)
    there = differences[~np.isnan(differences)]
    return math.fsum(there) / len(there) if len(there) else None
