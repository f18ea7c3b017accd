"""Several p-values at once: corrections of a family, and what comparisons after several groups return."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import check_level
from crucible_ray.stats.result import Floats, format_p

CORRECTIONS = (
    "none",
    "bonferroni",
    "sidak",
    "holm",
    "holm_sidak",
    "hochberg",
    "hommel",
    "fdr_bh",
    "fdr_by",
)


def correct(p_values: ArrayLike, method: str = "holm") -> Floats:
    """The p-values adjusted for being a family, in the order given; reject those at or below alpha.

    The whole family is held to alpha by `bonferroni`, `holm` (1979) under any dependence; `sidak` (1967), `holm_sidak`,
    `hochberg` (1988) and `hommel` (1988) under independence or positive dependence. The share of wrong rejections
    is held by `fdr_bh` (Benjamini and Hochberg 1995) under positive dependence and `fdr_by` (Benjamini and
    Yekutieli 2001) under any. Raises StatsError on another method, or on values outside 0 to 1.
    """
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise StatsError("p-values are a list of numbers from 0 to 1; leave out tests that have none")
    if method not in CORRECTIONS:
        raise StatsError(f"no correction {method!r}: {', '.join(CORRECTIONS)}")
    m = len(p)
    if m == 0 or method == "none":
        return p.copy()
    order = np.argsort(p, kind="stable")
    adjusted = np.empty(m)
    adjusted[order] = np.minimum(_adjusted(p[order], method), 1.0)
    return adjusted


def _adjusted(p: Floats, method: str) -> Floats:
    """Of p-values in rising order."""
    m = len(p)
    ranks = np.arange(1, m + 1)
    if method == "bonferroni":
        return p * m
    if method == "sidak":
        return _sidak(p, np.full(m, m))
    if method == "holm":
        return np.maximum.accumulate(p * (m - ranks + 1))
    if method == "holm_sidak":
        return np.maximum.accumulate(_sidak(p, m - ranks + 1))
    if method == "hommel":
        return _hommel(p)
    steps = {
        "hochberg": m - ranks + 1.0,
        "fdr_bh": m / ranks,
        "fdr_by": m / ranks * math.fsum(1 / ranks),
    }[method]
    return np.asarray(np.minimum.accumulate((p * steps)[::-1])[::-1], np.float64)


def _sidak(p: Floats, tests: np.ndarray[Any, np.dtype[np.int_]]) -> Floats:
    """1 - (1 - p)^m without loss of digits for small p."""
    with np.errstate(divide="ignore"):
        return np.asarray(-np.expm1(tests * np.log1p(-p)), np.float64)


def _hommel(p: Floats) -> Floats:
    """Wright's algorithm (1992, Biometrics 48), as in R's p.adjust."""
    m = len(p)
    ranks = np.arange(1, m + 1)
    best = np.full(m, float((m * p / ranks).min()))
    adjusted = best.copy()
    for size in range(m - 1, 1, -1):
        low, high = np.arange(m - size + 1), np.arange(m - size + 1, m)
        smallest = float((size * p[high] / np.arange(2, size + 1)).min())
        best[low] = np.minimum(size * p[low], smallest)
        best[high] = best[m - size]
        adjusted = np.maximum(adjusted, best)
    return np.asarray(np.maximum(adjusted, p), np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One comparison of a family; the estimate is a - b."""

    a: str
    b: str
    estimate: float
    statistic: float | None
    p_value: float | None
    """By itself; None where the data leave it undefined."""
    p_adjusted: float | None
    """Held to alpha together with all others of the family."""
    ci_low: float | None
    ci_high: float | None
    """Covers together with the intervals of all others, where the test has simultaneous ones."""
    test: str | None = None
    """By which rule this pair was decided, where each has its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyResult:
    """Comparisons of groups with one another, or with a baseline, as one family."""

    test: str
    pairs: tuple[Pair, ...]
    correction: str
    """How p-values are adjusted: a method of `correct`, or the joint distribution that is used."""
    measure: str = "difference"
    n: int
    alpha: float = 0.05
    notes: tuple[str, ...] = ()
    level: float | None = None
    """At which each pair is read, where that is one level for all."""

    def __post_init__(self) -> None:
        check_level(self.alpha)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self.pairs)

    def __getitem__(self, names: tuple[str, str]) -> Pair:
        """The comparison of the groups a and b; raises StatsError where there is none."""
        for pair in self.pairs:
            if (pair.a, pair.b) == names:
                return pair
        known = ", ".join(f"{pair.a} - {pair.b}" for pair in self.pairs)
        raise StatsError(f"no comparison {names[0]} - {names[1]}: {known}")

    @property
    def interpretation(self) -> str:
        """One sentence in words."""
        apart = [
            f"{pair.a} {'above' if pair.estimate > 0 else 'below'} {pair.b} ({format_p(pair.p_adjusted)})"
            for pair in self.pairs
            if pair.p_adjusted is not None and pair.p_adjusted < self.alpha
        ]
        return f"{'; '.join(apart)}." if apart else "No two groups are told apart."

    def __str__(self) -> str:
        lines = []
        for pair in self.pairs:
            interval = (
                ""
                if pair.ci_low is None or pair.ci_high is None
                else f" [{pair.ci_low:.4g}, {pair.ci_high:.4g}]"
            )
            p = "undefined" if pair.p_adjusted is None else format_p(pair.p_adjusted)
            lines.append(f"{pair.a} - {pair.b}: {pair.estimate:+.4g}{interval}, {p}")
        return f"{self.test} ({self.correction})\n" + "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values that JSON can hold."""
        return asdict(self) | {"interpretation": self.interpretation}

    def to_json(self) -> str:
        """`to_dict` as one line of JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)
