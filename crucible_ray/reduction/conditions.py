"""One condition at a time: its metrics with their intervals, what is missing, what it cost."""

from __future__ import annotations

import numpy as np
from msgspec import UNSET
from msgspec.structs import replace

from crucible_ray.errors import StatsError
from crucible_ray.experiment.plan import Plan
from crucible_ray.metrics.registry import Metric as Declared
from crucible_ray.metrics.registry import metric_of
from crucible_ray.reduction.analysis import Completeness, Condition, Metric, Spend
from crucible_ray.reduction.table import Table
from crucible_ray.stats.comparing_ratios import ratio_of
from crucible_ray.stats.layout import by_item
from crucible_ray.stats.result import Floats
from crucible_ray.stats.single import clustered_mean, items_for_quantile, quantile, wilson
from crucible_ray.stats.sums import exact_sum


def condition(plan: Plan, table: Table, index: int, alpha: float) -> Condition:
    """Everything about one condition but its members."""
    return Condition(
        metrics={name: _metric(table, index, metric_of(plan, name), alpha) for name in plan.metrics},
        completeness=_completeness(
            table, index, spared=any(c.fallback for c in plan.conditions[index].calls)
        ),
        spend=_spend(table, index),
    )


def _metric(table: Table, index: int, declared: Declared, alpha: float) -> Metric:
    latency = declared.quantile is not None
    values = table.latencies(index) if latency else table.values(declared.column, index)
    if table.clusters is None:
        return _of_units(table, index, declared, values, alpha)
    # A cluster takes the item's place: all that is in it is a repeat of it.
    found = _of_units(table, index, declared, by_item(values, table.clusters), alpha)
    items = int((~np.isnan(values)).any(axis=1).sum())
    return replace(found, items=items, method=f"{found.method}; {found.items} clusters are the unit")


def _of_units(table: Table, index: int, declared: Declared, values: Floats, alpha: float) -> Metric:
    if declared.quantile is not None:
        return _quantile(values, declared.quantile, alpha)
    if declared.over is not None:
        below = table.values(declared.over, index)
        return _ratio(values, below if table.clusters is None else by_item(below, table.clusters), alpha)
    return proportion(values, alpha) if declared.kind == "binary" else _mean(values, alpha)


def proportion(correct_IR: Floats, alpha: float) -> Metric:
    """Share of right answers; Wilson's interval where no item has both right and wrong ones, else t by items.

    correct_IR: 0 or 1, shape [items, repeats], NaN where missing.
    """
    present = ~np.isnan(correct_IR)
    n, counts = int(present.sum()), present.sum(axis=1)
    items = int(np.count_nonzero(counts))
    if n == 0:
        return Metric(value=None, n=0, items=0, method="no answer")
    right = np.where(present, correct_IR, 0.0).sum(axis=1)
    value = float(right.sum()) / n
    if bool(((right == 0) | (right == counts)).all()):  # no item has both right and wrong answers
        low, high = wilson(value * items, items, alpha=alpha)
        return Metric(value=value, ci_low=low, ci_high=high, n=n, items=items, method="wilson")
    _, interval = clustered_mean(correct_IR, alpha=alpha)
    if interval is None:
        # Every item has the same mixture: at least as much is known as from one answer an item.
        low, high = wilson(value * items, items, alpha=alpha)
        return Metric(value=value, ci_low=low, ci_high=high, n=n, items=items, method="wilson")
    low, high = max(interval.low, 0.0), min(interval.high, 1.0)
    return Metric(value=value, ci_low=low, ci_high=high, n=n, items=items, method="t by items")


def _mean(values_IR: Floats, alpha: float) -> Metric:
    present = ~np.isnan(values_IR)
    n, items = int(present.sum()), int(present.any(axis=1).sum())
    if n == 0:
        return Metric(value=None, n=0, items=0, method="no value")
    value, interval = clustered_mean(values_IR, alpha=alpha)
    low, high = interval if interval is not None else (None, None)
    return Metric(value=value, ci_low=low, ci_high=high, n=n, items=items, method="t by items")


def _ratio(above_IR: Floats, below_IR: Floats, alpha: float) -> Metric:
    both = ~np.isnan(above_IR) & ~np.isnan(below_IR)
    n, items = int(both.sum()), int(both.any(axis=1).sum())
    try:
        found = ratio_of(above_IR, below_IR, alpha=alpha)
    except StatsError as nothing:
        return Metric(value=None, n=n, items=items, method=str(nothing))
    return Metric(
        value=found.value,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        n=n,
        items=items,
        method="; ".join(("ratio of totals over items, Fieller's interval", *found.notes)),
    )


def _quantile(latency_IR: Floats, q: float, alpha: float) -> Metric:
    present = ~np.isnan(latency_IR)
    items = int(present.any(axis=1).sum())
    value, interval = quantile(latency_IR, q, alpha=alpha)
    low, high = interval if interval is not None else (None, None)
    enough = items_for_quantile(q, alpha=alpha)
    method = "order statistics" if items >= enough else f"descriptive: an interval needs {enough} items"
    return Metric(
        value=value,
        ci_low=low,
        ci_high=high,
        n=int(present.sum()),
        items=items,
        method=method,
        censored=int(np.isinf(latency_IR).sum()),
    )


def _completeness(table: Table, index: int, *, spared: bool) -> Completeness:
    answered, failed = int(table.answered(index).sum()), int(table.failed(index).sum())
    errors = table.errors(index)
    unreadable = errors.pop("parse_failed", 0)
    right = float(np.nansum(table.values("correct", index)))
    scored = int((~np.isnan(table.values("correct", index))).sum()) + failed
    planned = table.answered(index).size
    return Completeness(
        planned=planned,
        answered=answered,
        failed=failed,
        pending=planned - answered - failed,
        parse_failed=unreadable,
        errors=errors,
        unsent=int(table.unsent(index).sum()),
        by_fallback=int(table.by_fallback(index).sum()) if spared else UNSET,
        accuracy_low=right / scored if scored else None,
        accuracy_high=(right + failed) / scored if scored else None,
    )


def _spend(table: Table, index: int) -> Spend:
    costs, answered, failed = table.costs(index), table.answered(index), table.failed(index)
    known = ~np.isnan(costs)
    return Spend(
        answered_usd=exact_sum(costs[answered & known]),
        failed_usd=exact_sum(costs[failed & known]),
        unpriced=int(((answered | failed) & ~known).sum()),
        unpaid_usd=exact_sum(table.unpaid(index)[answered | failed]),
    )
