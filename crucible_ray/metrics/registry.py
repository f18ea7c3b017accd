"""The metrics that an experiment can name: which column each summarises, how, and which way is better."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from crucible_ray.errors import SpecError
from crucible_ray.experiment.plan import Plan
from crucible_ray.settings import did_you_mean


class Metric(Struct, frozen=True, kw_only=True):
    """One name of `metrics=[...]`."""

    name: str
    kind: str
    """`binary`, `proportion`, `count`, `continuous`, `ordinal` or `cost`."""
    """What one trial's value is; decides the interval and the test."""
    better: str
    """`higher` or `lower`."""
    per_trial: bool
    """Whether it is the mean of one value per trial; else a quantile over trials, or a ratio of totals."""
    column: str
    """The column of `results.csv` that holds the trials' values."""
    quantile: float | None = None
    """Of a quantile over trials, in (0, 1)."""
    over: str | None = None
    """Of a ratio of totals: the column below the line."""


def metric(name: str) -> Metric:
    """The metric of that name. Raises SpecError, with the nearest name, where there is none."""
    found = METRICS.get(name)
    if found is None:
        raise SpecError((f"There is no metric {name!r}: {did_you_mean(name, METRICS)}",))
    return found


def metric_of(plan: Plan, name: str) -> Metric:
    """The metric of that name in a plan: its author's own, or one of ours. Raises SpecError where there is none."""
    for own in plan.own_metrics:
        if own.name == name:
            return Metric(name=name, kind=own.kind, better=own.better, per_trial=True, column=name)
    return metric(name)


def _latency(name: str, quantile: float) -> Metric:
    return Metric(
        name=name, kind="continuous", better="lower", per_trial=False, column="latency_ms", quantile=quantile
    )


METRICS: Final[dict[str, Metric]] = {
    each.name: each
    for each in (
        Metric(name="accuracy", kind="binary", better="higher", per_trial=True, column="correct"),
        _latency("latency_p50", 0.50),
        _latency("latency_p95", 0.95),
        _latency("latency_p99", 0.99),
        Metric(name="latency_mean", kind="continuous", better="lower", per_trial=True, column="latency_ms"),
        Metric(name="cost_per_query", kind="cost", better="lower", per_trial=True, column="cost_usd"),
        Metric(
            name="cost_per_correct",
            kind="cost",
            better="lower",
            per_trial=False,
            column="cost_usd",
            over="correct",
        ),
        Metric(name="consensus", kind="proportion", better="higher", per_trial=True, column="consensus"),
    )
}
