"""Conditions that logs hold, compared: the test by design and outcome, sizes, the naive answer, and what was left out."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, Final, NamedTuple

import numpy as np

from crucible_ray.errors import StatsError, UsageError
from crucible_ray.importing.joining import Condition, Joined
from crucible_ray.importing.log import Codes
from crucible_ray.reduction.shared_items import Shared, lay_out, present
from crucible_ray.reduction.sizes import several_sizes, two_sizes
from crucible_ray.settings import did_you_mean
from crucible_ray.stats.comparing import PAIRED, TWO_SAMPLES, Comparison, compare
from crucible_ray.stats.comparing_groups import compare_groups
from crucible_ray.stats.effect import Effect
from crucible_ray.stats.families import CORRECTIONS, FamilyResult, Pair, correct
from crucible_ray.stats.inputs import is_binary, item_means
from crucible_ray.stats.intervals import mean_ci
from crucible_ray.stats.layout import by_item
from crucible_ray.stats.result import Floats, TestResult, format_p, plain
from crucible_ray.stats.single import wilson

_OF_TWO: Final = (*TWO_SAMPLES, *PAIRED)
"""Tests of two conditions, by name."""
_CORRECTION: Final = "holm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How conditions are to be compared."""

    test: str = "auto"
    correction: str | None = None
    """Of several comparisons; None: the test's own joint distribution where it has one, else Holm."""
    kind: str | None = None
    """None: as the log declares it, else binary where all values are 0 or 1, and continuous."""
    baseline: str | None = None
    """What others are compared with; None: the first of two, all pairs of several."""
    margin: float = 0.0
    alpha: float = 0.05
    clusters: bool = False
    strata: bool = False
    """Whether strata were asked for; a log's tasks are strata where nothing speaks against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCondition:
    """What the logs hold of one condition."""

    name: str
    logs: tuple[str, ...]
    tools: tuple[str, ...]
    items: int
    values: int
    missing: int
    """Rows without a value: failed, not scored."""
    unmatched: int
    """Items left out because another condition does not have them, or has no value for them."""
    mean: float | None
    """Over the items that are compared, each with the mean of its repeats."""
    ci_low: float | None
    ci_high: float | None
    mean_all: float | None
    """The same over all of its items: what the tool itself reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LogComparison:
    """Two conditions or more, compared. Of two, the estimate is the second minus the first (the control)."""

    metric: str
    conditions: tuple[LoggedCondition, ...]
    paired: bool
    items: int
    """Different items over all conditions."""
    matched: int
    """Items with a value under every condition; 0 where groups are independent."""
    reason: str
    """Which test was chosen and why."""
    comparison: Comparison | None
    """Of two conditions."""
    overall: TestResult | None
    """Of three or more: whether they differ at all; None where there is no such test for the design."""
    family: FamilyResult | None
    """Of three or more: the pairs, as one family."""
    naive: TestResult | None
    """What the test would have said that ignores the design."""
    effect_sizes: tuple[Effect, ...]
    notes: tuple[str, ...]

    @property
    def interpretation(self) -> str:
        """The answer in words."""
        if self.comparison is not None:
            control, treatment = (condition.name for condition in self.conditions)
            told = self.comparison.interpretation
            return told.replace("Treatment is", f"{treatment} is", 1).replace(
                "the two", f"{treatment} and {control}", 1
            )
        parts = [part.interpretation for part in (self.overall, self.family) if part is not None]
        return " ".join(parts)

    @property
    def contrast(self) -> str | None:
        """What the naive test would have said; None where there is none."""
        if self.naive is None or self.naive.p_value is None:
            return None
        return f"The naive {self.naive.test} would have said {format_p(self.naive.p_value)}"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
        found: dict[str, Any] = plain(asdict(self))
        return found | {"interpretation": self.interpretation}

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


def compare_logs(joined: Joined, question: Question) -> LogComparison:
    """What the conditions say of one another; all numbers are over the items they share. Raises UsageError, StatsError."""
    joined = _baseline_first(joined, question.baseline)
    _check(joined, question)
    shared = lay_out(joined)
    design, notes = _design(joined, question, shared)
    answer = _two(design, question) if len(shared.tables) == 2 else _several(design, question)
    measure = two_sizes if len(shared.tables) == 2 else several_sizes
    sizes, undefined = measure(shared.tables, paired=joined.paired, kind=design.kind, alpha=question.alpha)
    return LogComparison(
        metric=joined.metric,
        conditions=tuple(
            _described(condition, table, joined, shared, question.alpha)
            for condition, table in zip(joined.conditions, shared.tables, strict=True)
        ),
        paired=joined.paired,
        items=shared.items,
        matched=len(shared.matched) if joined.paired else 0,
        reason=answer.reason,
        comparison=answer.comparison,
        overall=answer.overall,
        family=answer.family,
        naive=answer.naive,
        effect_sizes=sizes,
        notes=tuple(dict.fromkeys((*joined.notes, *notes, *answer.notes, *undefined))),
    )


class _Design(NamedTuple):
    """What every comparison of these conditions has in common."""

    names: tuple[str, ...]
    tables: list[Floats]
    paired: bool
    kind: str | None
    strata: Codes | None
    clusters: Codes | None


class _Answer(NamedTuple):
    reason: str
    naive: TestResult | None
    notes: tuple[str, ...]
    comparison: Comparison | None = None
    overall: TestResult | None = None
    family: FamilyResult | None = None


def _design(joined: Joined, question: Question, shared: Shared) -> tuple[_Design, tuple[str, ...]]:
    """Tasks are strata, unless what is asked for knows none: then that is said."""
    if question.clusters and shared.clusters is None:
        raise UsageError(
            f"the {len(shared.matched):,} shared items are all in one cluster, which cannot tell how clusters vary: "
            "name a column with two or more."
        )
    kind, strata = question.kind or joined.kind, shared.strata
    notes: tuple[str, ...] = ()
    knows_none = question.test != "auto" or kind == "ordinal" or shared.clusters is not None
    if strata is not None and knows_none and not question.strata:
        strata = None
        notes += ("tasks pair the items and are no strata: what is asked for here knows none",)
    names = tuple(condition.name for condition in joined.conditions)
    return _Design(names, shared.tables, joined.paired, kind, strata, shared.clusters), notes


def _pair(design: _Design, control: int, treatment: int, test: str, question: Question) -> Comparison:
    """Two of the conditions, by position."""
    found = compare(
        design.tables[control],
        design.tables[treatment],
        paired=design.paired,
        clusters=design.clusters,
        strata=design.strata,
        test=test,
        kind=design.kind,
        margin=question.margin,
        alpha=question.alpha,
    )
    reason = found.reason.replace("several datasets", "several tasks").replace(
        "datasets pooled", "tasks pooled"
    )
    return replace(found, reason=reason)


def _two(design: _Design, question: Question) -> _Answer:
    found = _pair(design, 0, 1, question.test, question)
    notes = found.notes
    if question.correction is not None:
        notes += ("two conditions are one comparison: there is nothing to correct",)
    return _Answer(found.reason, found.naive, notes, comparison=found)


def _several(design: _Design, question: Question) -> _Answer:
    """One test over all and its family; pair by pair where a test of two or a margin is asked for."""
    if question.test in _OF_TWO or question.margin:
        family, why, notes = _pairs(design, question.test, question)
        return _Answer(why, None, notes, family=family)
    found = compare_groups(
        dict(zip(design.names, design.tables, strict=True)),
        clusters=design.clusters,
        strata=design.strata,
        paired=design.paired,
        baseline=question.baseline,
        test=question.test,
        kind=design.kind,
        correction=question.correction or _CORRECTION,
        alpha=question.alpha,
    )
    notes = (*found.notes, *found.overall.notes)
    if question.correction is None or found.family.correction == question.correction:
        told = (*notes, *found.family.notes)
        return _Answer(found.reason, found.naive, told, overall=found.overall, family=found.family)
    family, why, more = _pairs(design, "auto", question)
    over_all = found.reason.partition(", then ")[0]
    return _Answer(
        f"{over_all}; then {why}", found.naive, (*notes, *more), overall=found.overall, family=family
    )


def _pairs(design: _Design, test: str, question: Question) -> tuple[FamilyResult, str, tuple[str, ...]]:
    """All pairs, or all against the baseline, each by `compare`; p-values corrected together, intervals not."""
    method = question.correction or _CORRECTION
    places = list(combinations(range(len(design.tables)), 2))
    if question.baseline is not None:
        places = [(0, other) for other in range(1, len(design.tables))]
    found = [_pair(design, control, treatment, test, question) for control, treatment in places]
    adjusted = iter(correct([each.p_value for each in found if each.p_value is not None], method).tolist())
    pairs, notes = [], []
    for (control, treatment), each in zip(places, found, strict=True):
        a, b = design.names[treatment], design.names[control]
        pairs.append(
            Pair(
                a=a,
                b=b,
                estimate=each.estimate if each.estimate is not None else math.nan,
                statistic=each.statistic,
                p_value=each.p_value,
                p_adjusted=next(adjusted) if each.p_value is not None else None,
                ci_low=each.ci_low,
                ci_high=each.ci_high,
                test=each.test,
            )
        )
        notes += [f"{a} - {b}: {note}" for note in each.notes]
    notes.append(f"intervals of pairs are at {100 * (1 - question.alpha):.4g} % each, not of all together")
    tests = ", ".join(dict.fromkeys(each.test for each in found))
    count = max(each.n for each in found)
    family = FamilyResult(test=tests, pairs=tuple(pairs), correction=method, n=count, alpha=question.alpha)
    return (
        family,
        f"pair by pair, p-values corrected by {method}, each by the rule for two conditions; the first: {found[0].reason}",
        tuple(notes),
    )


def _check(joined: Joined, question: Question) -> None:
    if question.correction is not None and question.correction not in CORRECTIONS:
        raise UsageError(
            f"no correction {question.correction!r}: {did_you_mean(question.correction, CORRECTIONS)}"
        )
    if (question.clusters or question.strata) and not joined.paired:
        raise UsageError(
            "clusters and strata are of items that every condition has: name the column of item ids with --pair."
        )
    if question.clusters and question.strata:
        raise UsageError("--cluster and --strata together are not supported by this version: leave one out.")
    if (question.clusters or question.strata) and question.test != "auto":
        raise UsageError(f"clusters and strata choose the test: leave out {question.test}, or them.")
    if not 0 < question.alpha < 1:
        raise UsageError(f"alpha is {question.alpha:g}; it lies between 0 and 1, such as .05.")


def _baseline_first(joined: Joined, baseline: str | None) -> Joined:
    if baseline is None:
        return joined
    names = [condition.name for condition in joined.conditions]
    if baseline not in names:
        raise UsageError(
            f"no condition is called {baseline!r} to be the baseline: {did_you_mean(baseline, names)}"
        )
    ordered = sorted(joined.conditions, key=lambda condition: condition.name != baseline)
    return replace(joined, conditions=tuple(ordered))


def _described(
    condition: Condition, table: Floats, joined: Joined, shared: Shared, alpha: float
) -> LoggedCondition:
    there = np.flatnonzero(present(condition.items, 1 + int(condition.items.max())))
    missing = int(np.isnan(condition.values).sum())
    means = item_means(table)
    means = means[~np.isnan(means)]
    whole = item_means(by_item(condition.values[:, None], condition.items))
    whole = whole[~np.isnan(whole)]
    bounded = joined.kind in ("binary", "bounded", "proportion") or is_binary(table[~np.isnan(table)])
    interval = _interval(means, table, alpha, bounded=bounded)
    return LoggedCondition(
        name=condition.name,
        logs=condition.logs,
        tools=condition.tools,
        items=len(there),
        values=len(condition.values) - missing,
        missing=missing,
        unmatched=len(there) - len(shared.matched) if joined.paired else 0,
        mean=float(means.mean()) if means.size else None,
        ci_low=interval[0],
        ci_high=interval[1],
        mean_all=float(whole.mean()) if whole.size else None,
    )


def _interval(
    means: Floats, table: Floats, alpha: float, *, bounded: bool
) -> tuple[float | None, float | None]:
    """Wilson's of a share of items, else Student's of item means; none where there is no spread to take it from."""
    try:
        if means.size and is_binary(means) and is_binary(table[~np.isnan(table)]):
            return wilson(float(means.sum()), len(means), alpha=alpha)
        low, high = mean_ci(means, alpha=alpha)
    except StatsError:
        return None, None
    return (max(low, 0.0), min(high, 1.0)) if bounded else (low, high)
