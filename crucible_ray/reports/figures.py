"""Which numbers a report draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from crucible_ray.reduction.analysis import Analysis, HypothesisResult
from crucible_ray.reports import words
from crucible_ray.reports.charts import Box, Span, box_chart, interval_chart, scatter_chart, series_chart
from crucible_ray.reports.page import Chart
from crucible_ray.reports.questions import Questions

_MOST = 24
"""Rows of one chart."""


def hypotheses(found: Sequence[HypothesisResult]) -> list[Chart]:
    """Each difference that a hypothesis is about, with its interval, zero and the margin."""
    return [
        Chart(
            f"{h.metric}, {h.a} - {h.b}: the difference, its interval at {100 * h.confidence:.4g} %, zero and the margin",
            interval_chart(
                [Span(label=h.text, value=h.estimate, low=h.ci_low, high=h.ci_high)],
                partial(words.difference, h.metric),
                lines=_margins(h),
            ),
        )
        for h in found[:_MOST]
        if h.estimate is not None
    ]


def _margins(h: HypothesisResult) -> list[tuple[float, str]]:
    zero = (0.0, "0")
    if not h.margin:
        return [zero]
    at = {"superiority": (h.margin,), "non_inferiority": (-h.margin,)}.get(h.relation, (-h.margin, h.margin))
    return [zero, *((each, "margin") for each in at)]


def conditions(analysis: Analysis, metrics: Sequence[str], questions: Questions | None) -> list[Chart]:
    """Every metric that is a share or a price as intervals, latency as boxes, accuracy over the run."""
    charts = [
        chart
        for metric in metrics
        if not metric.startswith("latency")
        for chart in _intervals(analysis, metric)
    ]
    return charts + (_of_trials(analysis, questions) if questions is not None else [])


def _intervals(analysis: Analysis, metric: str) -> list[Chart]:
    spans = [
        Span(label=name, value=found.value, low=found.ci_low, high=found.ci_high)
        for name, condition in analysis.conditions.items()
        if (found := condition.metrics[metric]).value is not None
    ]
    if not spans:
        return []
    caption = f"{metric} by condition, with intervals at {100 * analysis.confidence:.4g} %"
    return [Chart(caption, interval_chart(spans[:_MOST], partial(words.value, metric)))]


def _of_trials(analysis: Analysis, questions: Questions) -> list[Chart]:
    names = list(analysis.conditions)
    boxes = [
        Box(label=name, marks=(marks[0], marks[1], marks[2], marks[3], marks[4]))
        for name, marks in zip(names, questions.latencies, strict=True)
        if len(marks) == 5
    ]
    charts = []
    if boxes:
        caption = "latency by condition: median, middle half, and from the 5th to the 95th percentile"
        charts.append(Chart(caption, box_chart(boxes[:_MOST], partial(words.value, "latency_mean"))))
    series = [
        (name, values)
        for name, values in zip(names, questions.over_time, strict=True)
        if sum(value is not None for value in values) > 1
    ]
    if series:
        caption = (
            "accuracy over the planned order of the run: a slope would mean that something changed under way"
        )
        charts.append(Chart(caption, series_chart(series[:_MOST], partial(words.value, "accuracy"))))
    return charts


def cost(analysis: Analysis) -> list[Chart]:
    """Accuracy against cost, a dot a condition."""
    points = [
        (name, price.value, accuracy.value)
        for name, condition in analysis.conditions.items()
        if (price := condition.metrics.get("cost_per_query")) is not None
        and (accuracy := condition.metrics.get("accuracy")) is not None
        and price.value is not None
        and accuracy.value is not None
    ]
    if len(points) < 2:
        return []
    shown: tuple[Callable[[float], str], Callable[[float], str]] = (
        partial(words.value, "cost_per_query"),
        partial(words.value, "accuracy"),
    )
    return [Chart("accuracy (up) against cost per query (across)", scatter_chart(points[:_MOST], *shown))]
