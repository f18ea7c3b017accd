"""Missing data in words: how much is lost, whether by chance, and what it could have said."""

from __future__ import annotations

from functools import partial

from crucible_ray.reduction.analysis import Analysis
from crucible_ray.reduction.parts import Missing, MissingDifficulty, MissingPair
from crucible_ray.reports import words
from crucible_ray.reports.page import Block, Bullets, Section, Text, table

_SOURCES = {
    "difficulty": "the dataset's difficulty",
    "other conditions": "the share of the other conditions' answers that are wrong",
    "other repeats": "the share of its other repeats' answers that are wrong",
}


def missing_data(analysis: Analysis) -> list[Section]:
    """Whether what is missing is missing by chance, and what it could have said."""
    found = analysis.missing
    if analysis.blind is not None and analysis.blind.hidden:
        return _failures(analysis)
    if found is None:
        whole = "Every trial that began has an answer, so nothing here rests on how missing ones are taken."
        return [Section("Missing data", (Text(whole),))]
    blocks: list[Block] = [Text(_lost(found)), Bullets(tuple(_tests(found, analysis)))]
    if found.pairs:
        rows = [_row(each) for each in found.pairs]
        columns = (
            "metric", "a - b", "#on what was answered", "#on complete items", "#all lost against a", "#all lost for a",
            "a and b fail equally often", "headline",
        )  # fmt: skip
        blocks.append(table("What the lost trials could have said", columns, rows))
    unbounded = sorted({each.metric for each in analysis.comparisons if each.worst is None and each.estimate})
    if unbounded:
        blocks.append(
            Text(
                f"{', '.join(unbounded)}: a lost trial could have had any value, so there are no such bounds; what is said "
                "of it is about answered trials."
            )
        )
    return [Section("Missing data", tuple(blocks)), *_failures(analysis)]


def _lost(found: Missing) -> str:
    counts = ", ".join(f"{name} {count:,}" for name, count in found.lost.items())
    return (
        f"Lost trials, those that failed or whose block stopped half-way: {counts}. They are missing, not wrong. If "
        "what is missing goes with the condition or with how hard an item is, the answered trials are no fair sample."
    )


def _tests(found: Missing, analysis: Analysis) -> list[str]:
    lines = []
    if len(found.lost) > 1:
        how = {
            "paired_permutation": "sign flips of items"
            + (", exact McNemar" if analysis.repeats == 1 else ""),
            "mean_scores": "chi-square of permutations within items"
            + (", Cochran's Q" if analysis.repeats == 1 else ""),
        }.get(found.test or "", "no test is possible")
        if found.p_value is None:
            return [_difficulty(each) for each in found.difficulty]
        alike = "Both conditions" if len(found.lost) == 2 else "All conditions"
        lines.append(f"{alike} fail equally often: {words.p_text(found.p_value)} ({how}).")
    lines += [_difficulty(each) for each in found.difficulty]
    return lines


def _difficulty(found: MissingDifficulty) -> str:
    means = f"{found.difficulty_failed:.2f} against {found.difficulty_answered:.2f}"
    if found.rho is None:
        said = "no test is possible, since one of the two never varies"
    else:
        said = f"rank correlation {found.rho:+.2f} over {found.items:,} items, {words.p_text(found.p_value)}"
    return (
        f"{found.condition} fails on items of any difficulty alike: {said}; mean difficulty of failed and of answered "
        f"trials {means}, by {_SOURCES[found.source]}."
    )


def _row(pair: MissingPair) -> tuple[str, ...]:
    shown = partial(words.difference_in_unit, pair.metric)
    return (
        pair.metric,
        f"{pair.a} - {pair.b}",
        shown(pair.estimate),
        f"{shown(pair.complete_case)} ({pair.complete_items:,} items)",
        shown(pair.worst),
        shown(pair.best),
        "nothing failed" if pair.p_value is None else words.p_text(pair.p_value),
        "withheld" if pair.withheld else "kept",
    )


def _failures(analysis: Analysis) -> list[Section]:
    rows = [
        (name, kind, f"{count:,}")
        for name, condition in analysis.conditions.items()
        for kind, count in condition.completeness.errors.items()
    ]
    if not rows:
        return []
    shown = table("Failed trials by class", ("condition", "class", "#trials"), rows)
    return [Section("Failures by class", (shown,), level=3)]
