"""Where each metric's variance comes from, and what another split of the same calls would have been worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from crucible_ray.errors import StatsError
from crucible_ray.experiment.grid import Ints, order_of
from crucible_ray.metrics.registry import Metric, metric_of
from crucible_ray.reduction.asking import pair_of
from crucible_ray.reduction.parts import Alike, DifferenceSplit, MetricVariance, SplitOption, Trend
from crucible_ray.reduction.table import Table
from crucible_ray.stats.result import Floats
from crucible_ray.stats.variance import complete_items, components, icc, split, trend

if TYPE_CHECKING:
    from crucible_ray.experiment.plan import Plan
    from crucible_ray.reduction.analysis import Comparison

_REPEATS = (1, 2, 3, 5, 10)
"""Splits that are shown beside the one that was run."""


def variances(plan: Plan, table: Table, comparisons: Sequence[Comparison]) -> dict[str, MetricVariance]:
    """By metric with one value a trial; a metric without two complete items is left out."""
    asked = [metric_of(plan, name) for name in plan.metrics]
    if any(each.column == "latency_ms" and not each.per_trial for each in asked):
        asked.append(metric_of(plan, "latency_mean"))
    ranks, places = _positions(plan)
    found = {}
    for each in {one.name: one for one in asked if one.per_trial}.values():
        made = _metric(plan, table, each, comparisons, ranks, places)
        if made is not None:
            found[each.name] = made
    return found


def _positions(plan: Plan) -> tuple[Ints, Ints]:
    """The rank of each block, shape [items, repeats]; the place of each condition in it, [items, repeats, conditions]."""
    order, shape = order_of(plan), (plan.items, plan.repeats)
    blocks = np.arange(plan.items * plan.repeats)
    places = np.argsort(order.conditions_of(blocks), axis=1, kind="stable")
    return order.ranks_of(blocks).reshape(shape), places.reshape(*shape, len(plan.conditions))


def _metric(
    plan: Plan, table: Table, metric: Metric, comparisons: Sequence[Comparison], ranks: Ints, places: Ints
) -> MetricVariance | None:
    values = [table.values(metric.column, k) for k in range(len(plan.conditions))]
    there = [k for k, each in enumerate(values) if not np.isnan(each).all()]  # no consensus without a vote
    if not there:
        return None
    cells = np.stack([values[k] for k in there], axis=2)
    whole = complete_items(cells)
    if int(whole.sum()) < 2:
        return None
    y = cells[whole]
    parts = components(y)
    by_source = {name: part for name, part in parts._asdict().items() if part is not None}
    total = parts.total
    names = [plan.conditions[k].name for k in there]
    alpha = round(1 - plan.analysis.confidence, 12)
    return MetricVariance(
        items=int(whole.sum()),
        of=plan.items,
        repeats=plan.repeats,
        conditions=tuple(names),
        total=total,
        variance=by_source,
        share={name: part / total if total > 0 else 0.0 for name, part in by_source.items()},
        order=_order(y, places[whole][:, :, there], total, alpha) if len(there) > 1 else None,
        drift=_drift(y, ranks[whole], total, alpha),
        alike={name: _alike(cells[:, :, k], alpha) for k, name in enumerate(names)}
        if plan.repeats > 1
        else {},
        splits=_splits(table, metric, plan, comparisons) if plan.repeats > 1 else (),
    )


def _drift(y: Floats, ranks_IR: Ints, total: float, alpha: float) -> Trend | None:
    """The change of blocks' means over the run; with repeats within items, so that which item came when is no matter."""
    at = ranks_IR / max(1, int(ranks_IR.max()))
    axis = 1 if y.shape[1] > 1 else None
    blocks = y.mean(axis=2)
    u, x = (each - each.mean(axis=axis, keepdims=True) for each in (blocks, at))
    u = np.where(np.abs(u) <= 1e-12 * np.abs(y).max(), 0.0, u)
    items = np.repeat(np.arange(len(y)), y.shape[1])
    return _trend(u.ravel(), x.ravel(), items, total, alpha)


def _order(y: Floats, places_IRK: Ints, total: float, alpha: float) -> Trend | None:
    """The change from a block's first condition to its last, within blocks and conditions."""
    at = places_IRK / max(1, int(places_IRK.max()))
    u, x = (
        each - each.mean(axis=2, keepdims=True) - each.mean(axis=(0, 1)) + each.mean() for each in (y, at)
    )
    # A value or an order that never changes leaves rounding alone.
    u, x = np.where(np.abs(u) <= 1e-12 * np.abs(y).max(), 0.0, u), np.where(np.abs(x) <= 1e-12, 0.0, x)
    items = np.repeat(np.arange(len(y)), y.shape[1] * y.shape[2])
    return _trend(u.ravel(), x.ravel(), items, total, alpha)


def _trend(u: Floats, x: Floats, items: Ints, total: float, alpha: float) -> Trend | None:
    try:
        found = trend(u, x, items, alpha=alpha)
    except StatsError:  # two items have no trend
        return None
    share = 0.0
    if found.estimate is not None and found.statistic and total > 0:
        noise = (found.estimate / found.statistic) ** 2
        share = max(0.0, found.estimate**2 - noise) * float(np.mean(x**2)) / total
    return Trend(
        estimate=found.estimate,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        p_value=found.p_value,
        share=share,
    )


def _alike(values_IR: Floats, alpha: float) -> Alike:
    whole = values_IR[~np.isnan(values_IR).any(axis=1)]
    identical = bool(len(whole)) and bool((whole == whole[:, :1]).all())
    found = icc(values_IR, alpha=alpha) if len(whole) > 1 else None
    if found is None:
        return Alike(icc=None, ci_low=None, ci_high=None, icc_mean=None, identical=identical)
    return Alike(
        icc=found.value,
        ci_low=found.ci_low,
        ci_high=found.ci_high,
        icc_mean=found.mean,
        identical=identical,
    )


def _splits(
    table: Table, metric: Metric, plan: Plan, comparisons: Sequence[Comparison]
) -> tuple[DifferenceSplit, ...]:
    found = []
    for each in comparisons:
        if each.metric != metric.name:
            continue
        pair = pair_of(plan, metric.name, each.a, each.b)
        try:
            made = split(table.values(metric.column, pair.a) - table.values(metric.column, pair.b))
        except StatsError:  # too few items are complete
            continue
        if made.between + made.within == 0.0:  # nothing to split
            continue
        options = sorted({*_REPEATS, plan.repeats})
        found.append(
            DifferenceSplit(
                a=each.a,
                b=each.b,
                between=made.between,
                within=made.within,
                worth=made.worth,
                options=tuple(
                    SplitOption(repeats=r, items=made.items * made.repeats / r, se=made.se(r))
                    for r in options
                ),
            )
        )
    return tuple(found)
