"""Several datasets: what is reported of each by itself."""

from __future__ import annotations

from crucible_ray.experiment.plan import Plan
from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reports import words
from crucible_ray.reports.page import Block, Section, Text, table


def by_dataset(plan: Plan, analysis: Analysis) -> list[Section]:
    """A table of conditions and one of comparisons, by dataset; nothing where there is one dataset."""
    if not analysis.datasets:
        return []
    conditions = [
        (
            dataset,
            f"{found.items:,}",
            name,
            *(words.with_interval(metric, condition.metrics[metric]) for metric in plan.metrics),
        )
        for dataset, found in analysis.datasets.items()
        for name, condition in found.conditions.items()
    ]
    differences = [
        (
            dataset,
            c.metric,
            f"{c.a} - {c.b}",
            words.difference_in_unit(c.metric, c.estimate),
            "-"
            if c.ci_low is None or c.ci_high is None
            else " to ".join(words.difference_ends(c.metric, c.ci_low, c.ci_high)),
            words.p_text(c.p_value),
        )
        for dataset, found in analysis.datasets.items()
        for c in found.comparisons
    ]
    heads = ("dataset", "#items", "condition", *(f"#{metric}" for metric in plan.metrics))
    note = Text(
        "All other sections are about the datasets together: each counts by its share of the items. What is "
        "compared within one dataset is exploratory; hypotheses are decided on all of them."
    )
    blocks: list[Block] = [table("Each condition's metrics, by dataset", heads, conditions), note]
    if differences:
        heads = ("dataset", "metric", "a - b", "#difference", "#interval", "#p")
        blocks.append(table("Differences between conditions, by dataset", heads, differences))
    return [Section("Datasets", tuple(blocks))]
