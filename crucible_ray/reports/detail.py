"""Sections beside the metrics: how values spread, topics, agreement, what right answers cost."""

from __future__ import annotations

from crucible_ray.reduction.analysis import Analysis, Value
from crucible_ray.reports import words
from crucible_ray.reports.page import Block, Bullets, Section, Text, quoted, table

_METRIC = {"accuracy": "accuracy", "latency_ms": "latency_mean", "cost_usd": "cost_per_query"}


def spread(analysis: Analysis) -> list[Section]:
    """N, mean, standard deviation, extremes and percentiles of single trials."""
    rows: list[tuple[str, ...]] = [
        (
            name,
            column,
            f"{found.n:,}",
            *(
                words.value(_METRIC[column], number)
                for number in (
                    found.mean, found.sd, found.minimum, found.p50, found.p95, found.p99, found.maximum
                )
            ),
        )
        for name, condition in analysis.conditions.items()
        for column, found in condition.spread.items()
        if column != "accuracy"
    ]  # fmt: skip
    right: list[tuple[str, ...]] = [
        (
            name,
            f"{found.n:,}",
            words.value("accuracy", found.mean),
            words.value("accuracy", found.sd),
            f"{round(found.n * found.mean):,}",
            f"{found.n - round(found.n * found.mean):,}",
        )
        for name, condition in analysis.conditions.items()
        if (found := condition.spread.get("accuracy")) is not None
    ]
    blocks: list[Block] = []
    if right:
        heads = ["condition", "#N", "#mean", "#SD", "#right", "#wrong"]
        blocks.append(table("Answers of single trials, 1 or 0", heads, right))
    if rows:
        heads = ["condition", "of", "#N", "#mean", "#SD", "#min", "#P50", "#P95", "#P99", "#max"]
        blocks.append(table("Latency and cost of single trials", heads, rows))
    return [Section("How values spread", tuple(blocks), level=3)] if blocks else []


def topics(analysis: Analysis) -> list[Section]:
    """Accuracy and failures by topic."""
    names = list(dict.fromkeys(name for each in analysis.conditions.values() for name in each.topics))
    if len(names) < 2:
        return []
    rows = [
        (
            quoted(name, 40),
            *(
                f"{words.value('accuracy', share.right / share.answered)} ({share.answered - share.right:,} wrong of "
                f"{share.answered:,})"
                if share is not None
                else "-"
                for share in (condition.topics.get(name) for condition in analysis.conditions.values())
            ),
        )
        for name in names
    ]
    columns = ("topic", *(f"#{name}" for name in analysis.conditions))
    note = Text("Topics are looked at after the fact and are small: leads, not findings.")
    return [Section("By topic", (table("Accuracy by topic", columns, rows), note), level=3)]


def consensus(analysis: Analysis) -> list[Section]:
    """How far members agreed, and how often they were right then."""
    rows, told = [], []
    for name, condition in analysis.conditions.items():
        total = sum(level.n for level in condition.levels)
        for level in condition.levels:
            agreed = "unanimous" if level.consensus == 1 else f"{100 * level.consensus:.0f} % of votes"
            share = words.value("accuracy", level.n / total)
            rows.append((name, agreed, f"{level.n:,}", share, words.value("accuracy", level.accuracy)))
        top, rest = condition.levels[:1], condition.levels[1:]
        if top and rest and top[0].consensus == 1 and top[0].accuracy is not None:
            split = sum(level.n for level in rest)
            right = sum(level.n * (level.accuracy or 0.0) for level in rest)
            told.append(
                f"{name}: where all agree it is right in {words.value('accuracy', top[0].accuracy)} of cases, else in "
                f"{words.value('accuracy', right / split)}."
            )
        missing = condition.completeness.errors.get("no_quorum", 0)
        if missing and condition.levels:
            rows.append((name, "no quorum", f"{missing:,}", "-", "-"))
    if not rows:
        return []
    columns = ("ensemble", "agreement", "#trials", "#share", "#accuracy")
    shown: tuple[Block, ...] = (table("Accuracy by how far members agreed", columns, rows),)
    told.append(
        "Share of votes: what the winning answer got of the votes cast. Most votes win, also without half of them; a tie goes to "
        "the answer that came first in the order of the members."
    )
    return [Section("Agreement", (*shown, Bullets(tuple(told))), level=3)]


def cost_benefit(analysis: Analysis) -> list[Section]:
    """Cost of a right answer, and of an extra one."""
    rows = []
    for name, condition in analysis.conditions.items():
        right, cost = condition.spread.get("accuracy"), condition.spread.get("cost_usd")
        if right is None:
            continue
        per_right = cost.mean / right.mean if cost is not None and right.mean else None
        rows.append(
            (
                name,
                words.value("accuracy", right.mean),
                words.dollars(cost.mean) if cost is not None else "unknown price",
                words.dollars(per_right) if cost is not None and right.mean else "-",
                f"{1000 * (1 - right.mean):,.0f}",
            )
        )
    if not rows:
        return []
    columns = ("condition", "#accuracy", "#cost per query", "#cost per right answer", "#errors per 1,000")
    told = tuple(_worth(each) for each in analysis.values)
    blocks: list[Block] = [table("What right answers cost", columns, rows)]
    return [Section("What it is worth", (*blocks, *((Bullets(told),) if told else ())), level=3)]


def _worth(value: Value) -> str:
    who = f"{value.condition} instead of {value.baseline}"
    if value.usd_per_extra_correct is not None and value.extra_correct is not None:
        price = words.dollars(value.usd_per_extra_correct)
        return (
            f"{who}: {1000 * value.extra_correct:,.0f} more right answers in 1,000, for "
            f"{words.dollars(value.extra_usd and 1000 * value.extra_usd)} more: {price} for each. It pays where a wrong "
            f"answer costs more than {price}."
        )
    if (value.extra_usd or 0.0) <= 0.0 and value.reason == "it costs no more":
        return f"{who}: right more often, and it costs no more."
    return f"{who}: the price of an extra right answer cannot be said, since {value.reason}."
