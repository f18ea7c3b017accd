"""What an interval says about a hypothesis, for one hypothesis and for a family of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from crucible_ray.errors import StatsError
from crucible_ray.stats.families import correct

Verdict = Literal["supported", "refuted", "reversed", "not_decided"]
Relation = Literal["superiority", "non_inferiority", "equivalence"]


def verdict(ci_low: float, ci_high: float, relation: str, margin: float = 0.0) -> Verdict:
    """Read a hypothesis on a - b off its interval.

    `superiority` (a > b + margin) and `non_inferiority` (a >= b - margin) take the two-sided interval at 1 -
    alpha, `equivalence` (a == b +- margin) the one at 1 - 2 alpha (two one-sided tests, Schuirmann 1987).
    Raises StatsError on another relation.
    """
    if relation == "superiority":
        if ci_low > margin:
            return "supported"
        if ci_high < min(0.0, margin):
            return "reversed"
        return "refuted" if ci_high < margin else "not_decided"
    if relation == "non_inferiority":
        if ci_low > -margin:
            return "supported"
        return "refuted" if ci_high < -margin else "not_decided"
    if relation == "equivalence":
        if -margin < ci_low and ci_high < margin:
            return "supported"
        return "refuted" if ci_low > margin or ci_high < -margin else "not_decided"
    raise StatsError(f"no relation {relation!r}: superiority, non_inferiority or equivalence")


def interval_alpha(alpha: float, relation: str) -> float:
    """One minus the confidence of the interval that a verdict at level alpha is read from."""
    return 2 * alpha if relation == "equivalence" else alpha


_AS_CORRECT = {"none": "none", "bonferroni": "bonferroni", "holm": "holm", "fdr": "fdr_bh"}
"""Corrections of verdicts, by their names in `families.correct`."""


def adjusted_p(p_values: Sequence[float | None], correction: str) -> list[float | None]:
    """p-values held to alpha together; None, which is undefined, counts as never decided.

    One is below alpha exactly where its verdict is decided at its level of `family_levels`. Raises StatsError on another
    correction.
    """
    if correction not in _AS_CORRECT:
        raise StatsError(f"no correction {correction!r} for verdicts: {', '.join(_AS_CORRECT)}")
    adjusted = correct([1.0 if p is None else p for p in p_values], _AS_CORRECT[correction]).tolist()
    return [None if p is None else float(q) for p, q in zip(p_values, adjusted, strict=True)]


def family_levels(p_values: Sequence[float | None], alpha: float, correction: str) -> list[float]:
    """The level at which each hypothesis of a family is read, holding the whole family to alpha.

    p_values: the smallest level at which each is decided; None: at none. `holm` starts at alpha / m and raises the
    level for those still open each time others are decided (Holm 1979, Scand. J. Statist. 6); `bonferroni` stays at
    alpha / m; `none` reads each at alpha; `fdr` holds the share of wrong ones among the decided (the intervals of
    Benjamini and Yekutieli 2005, JASA 100). Raises StatsError on another correction.
    """
    m = len(p_values)
    values = [1.0 if p is None else p for p in p_values]
    if correction == "none":
        return [alpha] * m
    if correction == "bonferroni":
        return [alpha / max(m, 1)] * m
    if correction == "fdr":
        return [_fdr_level(values, alpha)] * m
    if correction != "holm":
        raise StatsError(f"no correction {correction!r} for verdicts: {', '.join(_AS_CORRECT)}")
    levels, undecided = [alpha] * m, list(range(m))
    while undecided:
        level = alpha / len(undecided)
        decided = [index for index in undecided if values[index] < level]
        for index in decided or undecided:
            levels[index] = level
        undecided = [index for index in undecided if index not in decided] if decided else []
    return levels


def _fdr_level(p_values: Sequence[float], alpha: float) -> float:
    """alpha k / m for the largest k of m, 1 or more, decided at that level (Benjamini, Hochberg 1995)."""
    m = len(p_values)
    for count in range(m, 1, -1):
        level = alpha * count / m
        if sum(p_value < level for p_value in p_values) >= count:
            return level
    return alpha / max(m, 1)
