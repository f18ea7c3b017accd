"""Conditions that logs hold, compared: the test by design and outcome, sizes, the naive answer, and what was left out."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any, Final

import numpy as np

from crucible_ray.errors import StatsError, UsageError
from crucible_ray.importing.joining import Condition, Joined
from crucible_ray.reduction.sizes import several_sizes, two_sizes
from crucible_ray.settings import did_you_mean
from crucible_ray.stats.comparing import PAIRED, TWO_SAMPLES, Comparison, compare
from crucible_ray.stats.comparing_groups import compare_groups
from crucible_ray.stats.effect import Effect
from crucible_ray.stats.families import CORRECTIONS, FamilyResult, Pair, correct
from crucible_ray.stats.inputs import is_binary
from crucible_ray.stats.intervals import mean_ci
from crucible_ray.stats.layout import by_item
from crucible_ray.stats.paired import item_means
from crucible_ray.stats.result import Floats, TestResult, format_p, plain
from crucible_ray.stats.single import wilson

_TASKS: Final = "tasks"


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
    tables, matched, items, strata, clusters = _tables(joined)
    kind = question.kind or joined.kind
    notes = list(joined.notes)
    design = _Design(joined, question, tables, strata, clusters, kind, notes)
    if len(tables) == 2:
        comparison = design.pair(0, 1, notes=True)
        sizes, undefined = two_sizes(*tables, paired=joined.paired, kind=kind, alpha=question.alpha)
        overall = family = None
        reason, naive = comparison.reason, comparison.naive
        if question.correction is not None:
            notes.append("two conditions are one comparison: there is nothing to correct")
    else:
        comparison = None
        overall, family, reason, naive = design.several()
        sizes, undefined = several_sizes(tables, paired=joined.paired, kind=kind, alpha=question.alpha)
    return LogComparison(
        metric=joined.metric,
        conditions=tuple(
            _described(condition, table, joined, matched, question.alpha)
            for condition, table in zip(joined.conditions, tables, strict=True)
        ),
        paired=joined.paired,
        items=items,
        matched=len(matched) if joined.paired else 0,
        reason=reason,
        comparison=comparison,
        overall=overall,
        family=family,
        naive=naive,
        effect_sizes=sizes,
        notes=tuple(dict.fromkeys((*notes, *undefined))),
    )


class _Design:
    """The tables of conditions, and how any of them are compared."""

    def __init__(
        self,
        joined: Joined,
        question: Question,
        tables: list[Floats],
        strata: Floats | None,
        clusters: Floats | None,
        kind: str | None,
        notes: list[str],
    ) -> None:
        self._names = [condition.name for condition in joined.conditions]
        self._joined, self._question, self._tables, self._kind = joined, question, tables, kind
        self._strata, self._clusters, self._notes = strata, clusters, notes
        if (
            strata is not None
            and not question.strata
            and (clusters is not None or self._cannot_have_strata())
        ):
            self._strata = None
            notes.append("tasks are no strata here: the test that is asked for does not know any")

    def _cannot_have_strata(self) -> bool:
        return self._question.test != "auto" or self._kind == "ordinal"

    def pair(self, control: int, treatment: int, *, notes: bool = False) -> Comparison:
        """Two of the conditions, by position."""
        asked = self._question
        found = compare(
            self._tables[control],
            self._tables[treatment],
            paired=self._joined.paired,
            clusters=self._clusters,
            strata=self._strata,
            test=asked.test,
            kind=self._kind,
            margin=asked.margin,
            alpha=asked.alpha,
        )
        reason = found.reason.replace("several datasets", f"several {_TASKS}").replace(
            "datasets pooled", f"{_TASKS} pooled"
        )
        if notes:
            self._notes.extend(found.notes)
        return replace(found, reason=reason)

    def several(self) -> tuple[TestResult | None, FamilyResult, str, TestResult | None]:
        """The test over all, the family of pairs, the reason, the naive answer."""
        asked = self._question
        by_pairs = asked.test in (*TWO_SAMPLES, *PAIRED) or bool(asked.margin) or self._clusters is not None
        if by_pairs or (self._strata is not None and asked.strata):
            return None, self._pairs(), self._why_pairs(), None
        self._strata = None
        found = compare_groups(
            dict(zip(self._names, self._tables, strict=True)),
            paired=self._joined.paired,
            baseline=asked.baseline,
            test=asked.test,
            kind=self._kind,
            correction=asked.correction or "holm",
            alpha=asked.alpha,
        )
        self._notes.extend((*found.notes, *found.overall.notes, *found.family.notes))
        if asked.correction is None or found.family.correction == asked.correction:
            return found.overall, found.family, found.reason, found.naive
        return found.overall, self._pairs(), f"{found.reason}; {self._why_pairs()}", found.naive

    def _why_pairs(self) -> str:
        unit = "clusters of items" if self._clusters is not None else "the design"
        return f"pairs one by one, each by its own test for {unit}, {self._question.correction or 'holm'} over all of them"

    def _pairs(self) -> FamilyResult:
        """All pairs, or all against the baseline, each by `compare`; p-values corrected, intervals not."""
        method = self._question.correction or "holm"
        asked = (
            replace(self._question, test="auto")
            if self._question.test not in (*TWO_SAMPLES, *PAIRED)
            else self._question
        )
        self._question = asked
        places = list(combinations(range(len(self._tables)), 2))
        if asked.baseline is not None:
            places = [(0, other) for other in range(1, len(self._tables))]
        found = [self.pair(control, treatment, notes=True) for control, treatment in places]
        known = [each.p_value for each in found if each.p_value is not None]
        adjusted = iter(correct(known, method).tolist())
        pairs = tuple(
            Pair(
                a=self._names[treatment],
                b=self._names[control],
                estimate=each.estimate if each.estimate is not None else float("nan"),
                statistic=each.statistic,
                p_value=each.p_value,
                p_adjusted=next(adjusted) if each.p_value is not None else None,
                ci_low=each.ci_low,
                ci_high=each.ci_high,
            )
            for (control, treatment), each in zip(places, found, strict=True)
        )
        self._notes.append(
            f"intervals of pairs are at {100 * (1 - asked.alpha):.4g} % each, not of all together"
        )
        return FamilyResult(
            test=found[0].test,
            pairs=pairs,
            correction=method,
            n=max(each.n for each in found),
            alpha=asked.alpha,
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


def _tables(joined: Joined) -> tuple[list[Floats], np.ndarray[Any, Any], int, Floats | None, Floats | None]:
    """Values as [items, repeats], the matched items, how many items there are, strata and clusters of the matched."""
    everything = np.unique(np.concatenate([condition.items for condition in joined.conditions]))
    if not joined.paired:
        return (
            [by_item(c.values[:, None], c.items) for c in joined.conditions],
            everything,
            len(everything),
            None,
            None,
        )
    matched = everything
    for condition in joined.conditions:
        matched = np.intersect1d(matched, condition.items[~np.isnan(condition.values)])
    if len(matched) < 2:
        raise StatsError(
            f"a paired comparison needs two items with a value in every condition; of {len(everything):,} "
            f"there are {len(matched)}. See that the logs are whole, and of the same items."
        )
    tables, strata, clusters = [], None, None
    for condition in joined.conditions:
        kept = np.isin(condition.items, matched)
        places = np.searchsorted(matched, condition.items[kept])
        tables.append(by_item(condition.values[kept][:, None], places, len(matched)))
        strata = _of_items(strata, condition.strata[kept], places, len(matched), "strata")
        clusters = _of_items(clusters, condition.clusters[kept], places, len(matched), "clusters")
    return tables, matched, len(everything), _several(strata), _several(clusters)


def _of_items(before: Any, labels: Any, places: Any, items: int, name: str) -> Any:
    """The label of each matched item. Raises UsageError where it has two."""
    found = np.full(items, -1, np.int64) if before is None else before
    fresh = found.copy()
    fresh[places] = labels
    if (fresh[places] != labels).any() or (before is not None and (fresh != before).any()):
        raise UsageError(f"an item is in two {name}: each has one. See that its rows agree in that column.")
    return fresh


def _several(labels: Any) -> Any:
    """None where all are alike: no clusters, no strata."""
    return None if labels is None or np.ptp(labels) == 0 else labels


def _described(
    condition: Condition, table: Floats, joined: Joined, matched: Any, alpha: float
) -> LoggedCondition:
    everything = np.unique(condition.items)
    missing = int(np.isnan(condition.values).sum())
    means = item_means(table)
    means = means[~np.isnan(means)]
    whole = item_means(by_item(condition.values[:, None], condition.items))
    whole = whole[~np.isnan(whole)]
    bounded = joined.kind in ("binary", "bounded") or is_binary(table[~np.isnan(table)])
    interval = _interval(means, table, alpha, bounded=bounded)
    return LoggedCondition(
        name=condition.name,
        logs=condition.logs,
        tools=condition.tools,
        items=len(everything),
        values=len(condition.values) - missing,
        missing=missing,
        unmatched=len(everything) - int(np.isin(everything, matched).sum()) if joined.paired else 0,
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
