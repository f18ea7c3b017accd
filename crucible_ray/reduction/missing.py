"""Missing data: failure is a missing value, never a wrong answer. What was lost, of whom, and what it could have said.

| question | answer |
| --- | --- |
| does loss depend on the condition? | sign-flip test on items (exact McNemar at one repeat); several: `mean_scores` |
| does loss depend on the item's difficulty? | Spearman's rank correlation over items, as a permutation test |
| what could the lost trials have said? | the difference if all of them had gone against a, and for it |
| may the headline stand? | not where those bounds hold a value that it excludes |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from crucible_ray.errors import StatsError
from crucible_ray.metrics.registry import metric_of
from crucible_ray.reduction.asking import pair_of
from crucible_ray.reduction.parts import Missing, MissingDifficulty, MissingPair
from crucible_ray.reduction.table import Table
from crucible_ray.stats.association import mean_scores, spearman
from crucible_ray.stats.inputs import item_means
from crucible_ray.stats.resampling import paired_permutation
from crucible_ray.stats.result import Floats
from crucible_ray.stats.sums import exact_sum

if TYPE_CHECKING:
    from crucible_ray.experiment.plan import HypothesisPlan, Plan
    from crucible_ray.records import Item
    from crucible_ray.reduction.analysis import Comparison


BOUNDED = ("binary", "proportion")
"""Kinds of metrics whose values lie between 0 and 1."""


def bounds(plan: Plan, table: Table, metric: str, a: int, b: int) -> tuple[float | None, float | None]:
    """The difference a - b if every lost trial had gone against a, and for it; None for a metric without limits.

    a, b: conditions by position. Over the items that either was begun on.
    """
    declared = metric_of(plan, metric)
    if declared.kind not in BOUNDED or not declared.per_trial:
        return None, None
    ends = []
    for fill_a, fill_b in ((0.0, 1.0), (1.0, 0.0)):
        filled = [
            np.where(table.lost(condition), fill, table.values(declared.column, condition))
            for condition, fill in ((a, fill_a), (b, fill_b))
        ]
        ends.append(float(np.nanmean(item_means(filled[0]) - item_means(filled[1]))))
    return ends[0], ends[1]


def missing_p(table: Table, a: int, b: int) -> float | None:
    """p of the test that both conditions fail equally often; None: nothing failed, or no item has both.

    The sign-flip test on items; at one repeat it is the exact McNemar test.
    """
    failed = [table.failed(condition).astype(np.float64) for condition in (b, a)]
    if not (failed[0].any() or failed[1].any()):
        return None
    for column, condition in zip(failed, (b, a), strict=True):
        column[~table.failed(condition) & ~table.answered(condition)] = np.nan
    try:
        found = paired_permutation(*failed).p_value
    except StatsError:
        return None
    return 1.0 if found is None else found  # None: they fail on the same items equally often


def sign_could_flip(
    ci_low: float | None, ci_high: float | None, worst: float | None, best: float | None
) -> bool:
    """Whether the interval excludes zero and some outcome of the lost trials puts the estimate on the other side."""
    if ci_low is None or ci_high is None or worst is None or best is None:
        return False
    return (ci_low > 0.0 and worst <= 0.0) or (ci_high < 0.0 and best >= 0.0)


def could_flip(outcome: str, hypothesis: HypothesisPlan, worst: float | None, best: float | None) -> bool:
    """Whether some outcome of the lost trials puts the estimate where the verdict says it is not."""
    if outcome == "not_decided" or worst is None or best is None:
        return False
    margin = hypothesis.margin
    if hypothesis.relation == "equivalence":
        inside = worst > -margin and best < margin
        outside = worst > margin or best < -margin
        return not inside if outcome == "supported" else not outside
    edge = -margin if hypothesis.relation == "non_inferiority" else margin
    if outcome == "supported":
        return worst <= edge
    return best >= (min(0.0, edge) if outcome == "reversed" else edge)


def missing_data(
    plan: Plan, table: Table, items: Sequence[Item], comparisons: Sequence[Comparison]
) -> Missing | None:
    """What is missing of a run and whether that is by chance; None where every trial that began has an answer.

    items: the plan's, for their own difficulty; without them others' answers tell it.
    """
    lost = {each.name: int(table.lost(k).sum()) for k, each in enumerate(plan.conditions)}
    if not any(lost.values()):
        return None
    p_value, test = _over_conditions(table, len(plan.conditions))
    failing = [k for k in range(len(plan.conditions)) if table.failed(k).any()]
    found = [_by_difficulty(plan, table, items, k) for k in failing]
    return Missing(
        lost=lost,
        p_value=p_value,
        test=test,
        pairs=tuple(_pair(plan, table, each) for each in comparisons if each.worst is not None),
        difficulty=tuple(each for each in found if each is not None),
    )


def _over_conditions(table: Table, conditions: int) -> tuple[float | None, str | None]:
    """p of the test that all conditions fail equally often, and its name."""
    if conditions < 2:
        return None, None
    if conditions == 2:
        return missing_p(table, 1, 0), "paired_permutation"
    shares = [_failed_share(table, k) for k in range(conditions)]
    try:
        return mean_scores(*shares).p_value, "mean_scores"
    except StatsError:  # no two items were begun under all conditions
        return None, None


def _failed_share(table: Table, condition: int) -> Floats:
    """By item: failed trials over those that have a row; NaN where none has."""
    failed, answered = table.failed(condition), table.answered(condition)
    return item_means(np.where(failed | answered, failed, np.nan))


def _pair(plan: Plan, table: Table, found: Comparison) -> MissingPair:
    pair = pair_of(plan, found.metric, found.a, found.b)
    a, b, column = pair.a, pair.b, metric_of(plan, found.metric).column
    diff = item_means(table.values(column, a)) - item_means(table.values(column, b))
    whole = ~(table.lost(a) | table.lost(b)).any(axis=1) & ~np.isnan(diff)
    assert found.worst is not None
    assert found.best is not None
    return MissingPair(
        metric=found.metric,
        a=found.a,
        b=found.b,
        estimate=found.estimate,
        complete_case=exact_sum(diff[whole]) / int(whole.sum()) if whole.any() else None,
        complete_items=int(whole.sum()),
        worst=found.worst,
        best=found.best,
        p_value=found.missing_p,
        withheld=found.withheld,
    )


def _by_difficulty(
    plan: Plan, table: Table, items: Sequence[Item], condition: int
) -> MissingDifficulty | None:
    """The test of one condition's failures; None where no item that it began has a difficulty."""
    source, difficulty = _difficulty(table, items, condition, len(plan.conditions))
    share = _failed_share(table, condition)
    known = ~np.isnan(difficulty) & ~np.isnan(share)
    failed = table.failed(condition).sum(axis=1)[known]
    answered = table.answered(condition).sum(axis=1)[known]
    if not failed.any() or not answered.any():
        return None
    result = spearman(difficulty[known], share[known], seed=plan.seed) if known.sum() > 1 else None
    return MissingDifficulty(
        condition=plan.conditions[condition].name,
        source=source,
        items=int(known.sum()),
        failing=int((failed > 0).sum()),
        difficulty_failed=exact_sum(difficulty[known] * failed) / int(failed.sum()),
        difficulty_answered=exact_sum(difficulty[known] * answered) / int(answered.sum()),
        rho=None if result is None else result.estimate,
        p_value=None if result is None else result.p_value,
    )


def _difficulty(table: Table, items: Sequence[Item], condition: int, conditions: int) -> tuple[str, Floats]:
    """Where the difficulty of items is from, and it, shape [items]; NaN where it is not known."""
    own = np.array([np.nan if each.difficulty is None else each.difficulty for each in items])
    if len(own) == len(table.failed(condition)) and len(own) and not np.isnan(own).any() and np.ptp(own) > 0:
        return "difficulty", own
    if conditions == 1:
        return "other repeats", 1.0 - item_means(table.values("correct", condition))
    others = [table.values("correct", k) for k in range(conditions) if k != condition]
    return "other conditions", 1.0 - item_means(np.concatenate(others, axis=1))
