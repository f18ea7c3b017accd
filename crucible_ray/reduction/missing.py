"""Missing data: failure is a missing value, never a wrong answer. What was lost, of whom, and what it could have said.

| question | answer |
| --- | --- |
| does loss depend on the condition? | sign-flip test on items (exact McNemar at one repeat); of several: Cochran's Q |
| does loss depend on the item's difficulty? | Spearman's rank correlation over items, as a permutation test |
| what could the lost trials have said? | the difference if all of them had gone against a, and for it |
| may the headline stand? | not where those bounds hold a value that it excludes |
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from crucible_ray.errors import StatsError
from crucible_ray.metrics.registry import metric_of
from crucible_ray.reduction.table import Table
from crucible_ray.stats.paired import item_means
from crucible_ray.stats.resampling import paired_permutation

if TYPE_CHECKING:
    from crucible_ray.experiment.plan import HypothesisPlan, Plan


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
