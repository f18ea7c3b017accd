"""Pairs of conditions compared: which they are, and everything that is said of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crucible_ray.errors import StatsError
from crucible_ray.reduction.analysis import Comparison, HypothesisResult, Naive
from crucible_ray.reduction.asking import Asker, Pair, pair_of
from crucible_ray.reduction.beside import checks_of, detectable_of, others_of, power_of, sizes_of
from crucible_ray.reduction.decisions import EXPLORATORY, PRIMARY, SECONDARY
from crucible_ray.reduction.hypotheses import verdicts
from crucible_ray.reduction.missing import bounds, missing_p, sign_could_flip
from crucible_ray.reduction.table import Table

if TYPE_CHECKING:
    from crucible_ray import stats
    from crucible_ray.experiment.plan import Plan
    from crucible_ray.stats.result import TestResult

NOT_COMPARED = ("consensus",)
"""Metrics that are compared where a hypothesis asks alone: most conditions have none."""


def compare(asker: Asker) -> tuple[tuple[Comparison, ...], tuple[HypothesisResult, ...]]:
    """Every comparison that hypotheses, other metrics and the baseline ask for, and the verdicts.

    Their families are not counted yet: `families.held_together`.
    """
    found = {pair: _comparison(asker, pair, family) for pair, family in pairs_of(asker.plan).items()}
    return tuple(found.values()), verdicts(asker, [found[pair] for pair in asked_by(asker.plan)])


def compare_part(asker: Asker) -> tuple[Comparison, ...]:
    """The same comparisons over some of the items; exploratory, since hypotheses are about all of them."""
    return tuple(_comparison(asker, pair, EXPLORATORY) for pair in pairs_of(asker.plan))


def compare_two(plan: Plan, table: Table, name: str, a: str, b: str) -> Comparison:
    """One metric of any two conditions, a - b, decided as `compare` does. Raises SpecError for an unknown metric."""
    asker = Asker(plan, table)
    asker.metric(name)
    return _comparison(asker, pair_of(plan, name, a, b), EXPLORATORY)


def asked_by(plan: Plan) -> list[Pair]:
    """What each hypothesis asks for, in their order."""
    return [pair_of(plan, h.metric, h.a, h.b) for h in plan.hypotheses]


def pairs_of(plan: Plan) -> dict[Pair, str]:
    """Everything that is compared, once, with its family: what hypotheses ask for stands first.

    Secondary is every other declared metric on a pair that a hypothesis names, the same way round; the rest is
    exploratory: conditions with the baseline, or with one another where the experiment wants all pairs.
    """
    asked = asked_by(plan)
    named = {frozenset((pair.a, pair.b)): (pair.a, pair.b) for pair in reversed(asked)}
    usual = [(a, b) for a, b in default_pairs(plan) if frozenset((a, b)) not in named]
    found = dict.fromkeys(asked, PRIMARY)
    known = {(pair.metric, frozenset((pair.a, pair.b))) for pair in asked}
    for name in plan.metrics:
        if name in NOT_COMPARED:
            continue
        for family, places in ((SECONDARY, reversed(named.values())), (EXPLORATORY, usual)):
            for a, b in places:
                if (name, frozenset((a, b))) not in known:
                    found[Pair(name, a, b)] = family
    return found


def default_pairs(plan: Plan) -> list[tuple[int, int]]:
    """Each condition with the baseline, or every two, the later minus the earlier."""
    names = [condition.name for condition in plan.conditions]
    if plan.analysis.pairs == "all":
        return [(a, b) for b in range(len(names)) for a in range(b + 1, len(names))]
    base = names.index(plan.analysis.baseline) if plan.analysis.baseline is not None else 0
    return [(other, base) for other in range(len(names)) if other != base]


def _comparison(asker: Asker, pair: Pair, family: str) -> Comparison:
    plan, table = asker.plan, asker.table
    a, b = asker.names(pair)
    try:
        found = asker.ask(pair, whole=True)
    except StatsError as nothing:
        return Comparison(
            metric=pair.metric,
            a=a,
            b=b,
            estimate=None,
            ci_low=None,
            ci_high=None,
            p_value=None,
            test=None,
            reason=str(nothing),
            naive=None,
            exploratory=family == EXPLORATORY,
            family=family,
        )
    worst, best = bounds(plan, table, pair.metric, pair.a, pair.b)
    return Comparison(
        metric=pair.metric,
        a=a,
        b=b,
        estimate=found.estimate,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        p_value=found.p_value,
        test=found.test,
        reason=found.reason,
        naive=_naive(found.naive),
        statistic=found.statistic,
        df=found.df,
        items=asker.items(pair),
        differing=found.differing or 0,
        decidable=found.decidable,
        notes=(*found.notes, *asker.design_notes(), *_sharing(plan, pair)),
        worst=worst,
        best=best,
        missing_p=missing_p(table, pair.a, pair.b),
        withheld=sign_could_flip(found.ci_low, found.ci_high, worst, best),
        exploratory=family == EXPLORATORY,
        family=family,
        **_beside(asker, pair, found),
    )


def _beside(asker: Asker, pair: Pair, found: stats.Comparison) -> dict[str, Any]:
    power = asker.plan.analysis.desired_power
    return {
        "unit": "items" if asker.table.clusters is None else str(asker.plan.analysis.cluster),
        "units": found.n,
        "apa": found.apa(),
        "assumptions": found.assumptions,
        "sizes": sizes_of(asker, pair),
        "checks": checks_of(found, asker.names(pair)),
        "others": others_of(found),
        "detectable": detectable_of(found, power),
        "achieved_power": power_of(found),
        "desired_power": power,
    }


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


def _sharing(plan: Plan, pair: Pair) -> tuple[str, ...]:
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
