"""Where variance comes from, in words: sources, trends, how alike repeats are, and what another split was worth."""

from __future__ import annotations

from crucible_ray.experiment.plan import Plan
from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reduction.parts import DifferenceSplit, MetricVariance, SplitOption, Trend
from crucible_ray.reports import words
from crucible_ray.reports.page import Block, Bullets, Section, Text, table

_SOURCES = ("items", "conditions", "items_x_conditions", "resamples")


def variance(plan: Plan, analysis: Analysis) -> list[Section]:
    """Shares of variance, trends, intraclass correlations and splits; nothing where no two items are complete."""
    found = analysis.variance
    if not found:
        return []
    return [
        Section("Variance", (_shares(found), *_notes(plan, found))),
        Section("Order and drift", _trends(plan, found), level=3),
        *_repeats(found),
        *_splits(found),
    ]


def _shares(found: dict[str, MetricVariance]) -> Block:
    rows = [
        (
            name,
            f"{each.items:,} of {each.of:,}",
            *(_percent(each.share.get(source)) for source in _SOURCES),
            *(_percent(None if trend is None else trend.share) for trend in (each.order, each.drift)),
        )
        for name, each in found.items()
    ]
    columns = (
        "metric", "#complete items", "#items", "#conditions", "#items x conditions", "#resamples", "#within them: order",
        "#within them: drift",
    )  # fmt: skip
    return table("Shares of the variance of single trials", columns, rows)


def _notes(plan: Plan, found: dict[str, MetricVariance]) -> list[Block]:
    lines = [
        "Shares by expected mean squares over complete items: items and their interaction with conditions are random, "
        "conditions fixed."
    ]
    if plan.repeats == 1:
        hidden = "items x conditions" if any(len(each.conditions) > 1 for each in found.values()) else "items"
        lines.append(
            f"Every item was asked once, so what resamples add cannot be told apart: it is in {hidden}. Two repeats "
            "would show it."
        )
    return [Text(" ".join(lines))]


def _trends(plan: Plan, found: dict[str, MetricVariance]) -> tuple[Block, ...]:
    rows = [
        (name, what, *_trend(name, trend))
        for name, each in found.items()
        for what, trend in (
            ("last against first in a block", each.order),
            ("end against start of the run", each.drift),
        )
        if trend is not None
    ]
    columns = ("metric", "change", "#estimate", "#interval", "#p")
    told = (
        "Positions were drawn by the seed before the run, so a trend is the time's doing, not the items'."
        if plan.randomize
        else "The order was not randomised, so a trend over the run may be one of the dataset's own order."
    )
    return (
        table("Does anything change with position?", columns, rows),
        Text(f"{told} Slopes with items as clusters."),
    )


def _trend(metric: str, trend: Trend) -> tuple[str, str, str]:
    if trend.estimate is None or trend.ci_low is None or trend.ci_high is None:
        return "-", "-", "undefined: nothing varies with it"
    low, high = words.difference_ends(metric, trend.ci_low, trend.ci_high)
    size = words.difference_in_unit(metric, trend.estimate)
    return size, f"{low} to {high}", words.p_text(trend.p_value)


def _repeats(found: dict[str, MetricVariance]) -> list[Section]:
    rows = [
        (
            name,
            condition,
            "-" if alike.icc is None else f"{alike.icc:z.3f}",
            "-"
            if alike.ci_low is None or alike.ci_high is None
            else f"{alike.ci_low:z.3f} to {alike.ci_high:z.3f}",
            "-" if alike.icc_mean is None else f"{alike.icc_mean:z.3f}",
        )
        for name, each in found.items()
        for condition, alike in each.alike.items()
    ]
    if not rows:
        return []
    same = [
        f"{name} of {condition}: {each.repeats} repeats carry the information of 1, since no item has two different values."
        for name, each in found.items()
        for condition, alike in each.alike.items()
        if alike.identical
    ]
    columns = ("metric", "condition", "#ICC(1)", "#interval", "#ICC(k), mean of all repeats")
    note = Text(
        "ICC(1): one-way random effects, single repeats (Shrout and Fleiss 1979, ICC(1,1); McGraw and Wong 1996), the share "
        "of variance that lies between items; the interval by linearisation over items."
    )
    blocks: list[Block] = [table("How alike repeats of an item are", columns, rows), note]
    blocks += [Bullets(tuple(same))] if same else []
    return [Section("Repeats", tuple(blocks), level=3)]


def _splits(found: dict[str, MetricVariance]) -> list[Section]:
    lines = [_split(name, each, split) for name, each in found.items() for split in each.splits]
    if not lines:
        return []
    note = Text(
        "The standard error of a difference is the root of (variance between items + variance within / repeats) / items "
        "(Miller 2024): for the same number of calls more items are never worse than more repeats, as far as the dataset has "
        "them. One repeat alone cannot show what resamples add."
    )
    return [Section("Items or repeats", (Bullets(tuple(lines)), note), level=3)]


def _split(metric: str, of: MetricVariance, split: DifferenceSplit) -> str:
    best = min(split.options, key=lambda each: each.se)
    run = next(each for each in split.options if each.repeats == of.repeats)
    others = [each for each in split.options if each.repeats != of.repeats]
    told = (
        f"{metric}, {split.a} - {split.b}: {of.repeats} repeats of an item are worth {split.worth:.3g} single answers. "
        f"The same {run.repeats * run.items:,.0f} trials a condition would leave a standard error of the difference of "
        f"{_option(metric, run)} as it was run" + "".join(f", {_option(metric, each)}" for each in others)
    )
    if best.se >= run.se * (1 - 1e-9):
        return f"{told}. No split would have been better."
    saved = 100 * (1 - (best.se / run.se) ** 2)
    return f"{told}. Best: {words.count(best.repeats, 'repeat')} of {best.items:,.0f} items, {saved:.0f} % less variance."


def _option(metric: str, option: SplitOption) -> str:
    size = words.difference_in_unit(metric, option.se, signed=False)
    return f"{size} ({option.repeats} x {option.items:,.0f} items)"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
