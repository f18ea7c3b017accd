"""What stands beside the metrics: how values spread, by topic, by how far members agreed, and what a right answer costs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crucible_ray.records import Item
from crucible_ray.reduction.analysis import Comparison, Condition, Level, Share, Spread, Value
from crucible_ray.reduction.table import Table
from crucible_ray.reduction.turning import across, negative
from crucible_ray.stats.result import Floats
from crucible_ray.stats.sums import exact_sum

_SPREADS = {"accuracy": "correct", "latency_ms": "latency_ms", "cost_usd": "cost_usd"}
_TOPICS = 40
"""Topics that are listed; smaller ones stand together."""
_REST = "(other topics)"


class Topics:
    """The topic of each item, as a number."""

    def __init__(self, items: Sequence[Item]) -> None:
        sizes = Counter(item.topic for item in items if item.topic)
        self.names = [name for name, _ in sorted(sizes.most_common(_TOPICS))]
        self.names += [_REST] if len(sizes) > _TOPICS else []
        known = {name: k for k, name in enumerate(self.names)}
        rest = known.get(_REST, -1)
        self.codes: NDArray[np.int64] = np.array(
            [known.get(item.topic, rest) if item.topic else -1 for item in items], np.int64
        )
        """By item; -1: it has none."""


def spreads(table: Table, index: int) -> dict[str, Spread]:
    """By column, over answered trials."""
    found = {name: table.values(column, index) for name, column in _SPREADS.items()}
    return {name: spread for name, values in found.items() if (spread := _spread(values)) is not None}


def _spread(values_IR: Floats) -> Spread | None:
    values = values_IR[~np.isnan(values_IR)]
    if not len(values):
        return None
    p50, p95, p99 = (float(each) for each in np.quantile(values, [0.5, 0.95, 0.99]))
    mean = exact_sum(values) / len(values)
    squares = exact_sum((values - mean) ** 2)
    return Spread(
        n=len(values),
        mean=mean,
        sd=math.sqrt(squares / (len(values) - 1)) if len(values) > 1 else None,
        minimum=float(values.min()),
        maximum=float(values.max()),
        p50=p50,
        p95=p95,
        p99=p99,
    )


def by_topic(table: Table, index: int, topics: Topics, items: slice) -> dict[str, Share]:
    """Right and answered trials of each topic."""
    correct, codes = table.values("correct", index), topics.codes[items]
    there = ~np.isnan(correct)
    right = np.where(there, correct, 0.0).sum(axis=1)
    listed = codes >= 0
    counts = np.bincount(codes[listed], there.sum(axis=1)[listed], len(topics.names))
    rights = np.bincount(codes[listed], right[listed], len(topics.names))
    return {
        name: Share(right=int(r), answered=int(n))
        for name, r, n in zip(topics.names, rights, counts, strict=True)
        if n
    }


def by_consensus(table: Table, index: int) -> tuple[Level, ...]:
    """Answered trials of each level of agreement, full agreement first."""
    consensus, correct = table.values("consensus", index).ravel(), table.values("correct", index).ravel()
    known = ~np.isnan(consensus)
    if not known.any():
        return ()
    rounded = np.round(consensus[known], 4)
    scores = correct[known]
    return tuple(
        _level(float(level), scores[rounded == level])
        for level in sorted(set(rounded.tolist()), reverse=True)
    )


def _level(consensus: float, scores: Floats) -> Level:
    scored = scores[~np.isnan(scores)]
    accuracy = exact_sum(scored) / len(scored) if len(scored) else None
    return Level(consensus=consensus, n=len(scores), accuracy=accuracy)


def values_of(
    conditions: dict[str, Condition], comparisons: Sequence[Comparison], baseline: str
) -> tuple[Value, ...]:
    """What each condition's extra right answers cost against the baseline, where that can be said."""
    return tuple(_value(name, baseline, conditions, comparisons) for name in conditions if name != baseline)


def _value(
    name: str, baseline: str, conditions: dict[str, Condition], comparisons: Sequence[Comparison]
) -> Value:
    spent = [conditions[each].spread.get("cost_usd") for each in (name, baseline)]
    costs = [each.mean for each in spent if each is not None]
    extra_usd = costs[0] - costs[1] if len(costs) == 2 else None
    gain, low, high = _gain(name, baseline, comparisons)
    reason = None
    if extra_usd is None:
        reason = "a price is unknown"
    elif gain is None:
        reason = "the two were not compared in accuracy"
    elif low is None or high is None or low <= 0.0 <= high:
        reason = "the interval of the difference in accuracy holds zero"
    elif gain < 0:
        reason = "it is right less often"
    elif extra_usd <= 0:
        reason = "it costs no more"
    price = extra_usd / gain if reason is None and extra_usd is not None and gain else None
    return Value(
        condition=name,
        baseline=baseline,
        extra_usd=extra_usd,
        extra_correct=gain,
        usd_per_extra_correct=price,
        reason=reason,
    )


def _gain(
    name: str, baseline: str, comparisons: Sequence[Comparison]
) -> tuple[float | None, float | None, float | None]:
    """The difference in accuracy, name - baseline, and its interval."""
    for c in comparisons:
        if c.metric == "accuracy" and (c.a, c.b) == (name, baseline):
            return c.estimate, c.ci_low, c.ci_high
        if c.metric == "accuracy" and (c.a, c.b) == (baseline, name):
            return negative(c.estimate), *across(c.ci_low, c.ci_high)
    return None, None, None
