"""Comparisons after several groups: each pair as one of a family.

Groups are independent for `tukey_hsd`, `games_howell` and `dunn`, and the same items in the same order for `nemenyi`;
`pairwise` takes any test of two. The estimate of a pair is a - b, where a comes after b. `joint` has `dunnett`
and `max_t`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.contrasts import (
    Contrast,
    Names,
    against,
    all_pairs,
    corrected,
    gap,
    labelled,
    paired_up,
    place,
    pooled,
)
from crucible_ray.stats.distributions import two_sided_p
from crucible_ray.stats.families import FamilyResult, Pair
from crucible_ray.stats.inputs import blocks, several
from crucible_ray.stats.result import TestResult
from crucible_ray.stats.twosample import welch_t


def tukey_hsd(*groups: ArrayLike, names: Names = None, alpha: float = 0.05) -> FamilyResult:
    """All pairs of independent groups of one variance, by Tukey and Kramer's studentised range (Kramer 1956).

    Intervals are simultaneous and the duals of `p_adjusted`; `p_value` is that of t over the pooled variance. Raises
    StatsError with fewer than two groups, or two values in one.
    """
    values, notes = several(groups)
    n, k = sum(map(len, values)), len(values)
    variance = pooled(values)
    contrasts = [
        Contrast(
            a, b, gap(values, a, b), math.sqrt(variance * (1 / len(values[a]) + 1 / len(values[b]))), n - k
        )
        for a, b in all_pairs(k)
    ]
    return _studentised("tukey_hsd", contrasts, k, labelled(names, k), n, alpha, notes)


def games_howell(*groups: ArrayLike, names: Names = None, alpha: float = 0.05) -> FamilyResult:
    """All pairs of independent groups, each with its own variance (Games and Howell 1976, J. Educ. Stat. 1).

    Welch's standard error and degrees of freedom with the studentised range; intervals are the duals of `p_adjusted`.
    """
    values, notes = several(groups)
    n, k = sum(map(len, values)), len(values)
    contrasts = []
    for a, b in all_pairs(k):
        shares = [float(values[i].var(ddof=1)) / len(values[i]) for i in (a, b)]
        squared, df = sum(shares), None
        if squared > 0:
            df = squared**2 / sum(s**2 / (len(values[i]) - 1) for s, i in zip(shares, (a, b), strict=True))
        contrasts.append(Contrast(a, b, gap(values, a, b), math.sqrt(squared), df))
    return _studentised("games_howell", contrasts, k, labelled(names, k), n, alpha, notes)


def dunn(
    *groups: ArrayLike, names: Names = None, correction: str = "holm", alpha: float = 0.05
) -> FamilyResult:
    """All pairs after Kruskal and Wallis: z of mean ranks, variance corrected for ties (Dunn 1964, Technometrics 6).

    Two-sided; the estimate is the difference of mean ranks among all values, which has no interval.
    """
    from scipy.stats import rankdata

    values, notes = several(groups, least=1)
    n, k = sum(map(len, values)), len(values)
    ranks = np.asarray(rankdata(np.concatenate(values)), np.float64)
    spread = float(ranks.var(ddof=1))
    ranked = np.split(ranks, np.cumsum([len(group) for group in values])[:-1])
    contrasts = [
        Contrast(a, b, gap(ranked, a, b), math.sqrt(spread * (1 / len(ranked[a]) + 1 / len(ranked[b]))), None)
        for a, b in all_pairs(k)
    ]
    plain = [None if c.statistic is None else two_sided_p(c.statistic) for c in contrasts]
    pairs = paired_up(contrasts, plain, corrected(plain, correction), [None] * len(plain), labelled(names, k))
    return FamilyResult(
        test="dunn",
        pairs=pairs,
        correction=correction,
        measure="difference of mean ranks",
        n=n,
        alpha=alpha,
        notes=notes,
    )


def nemenyi(*groups: ArrayLike, names: Names = None, alpha: float = 0.05) -> FamilyResult:
    """All pairs after Friedman: mean ranks within items, by the studentised range (Nemenyi 1963; Demsar 2006, JMLR 7).

    groups: the same items in the same order, shape [items] or [items, repeats]. The estimate is the difference of
    mean ranks, the half of its interval the "critical difference"; ties are not corrected for, which is the cautious side.
    """
    from scipy.stats import rankdata

    table, notes = blocks(groups)
    n, k = table.shape
    means = np.asarray(rankdata(table, axis=1), np.float64).mean(axis=0)
    se = math.sqrt(k * (k + 1) / (6 * n))
    contrasts = [Contrast(a, b, float(means[a] - means[b]), se, None) for a, b in all_pairs(k)]
    return _studentised(
        "nemenyi", contrasts, k, labelled(names, k), n, alpha, notes, measure="difference of mean ranks"
    )


def pairwise(
    *groups: ArrayLike,
    test: Callable[..., TestResult] = welch_t,
    correction: str = "holm",
    baseline: int | str | None = None,
    names: Names = None,
    alpha: float = 0.05,
) -> FamilyResult:
    """A test of two on every pair (or on each group with the baseline), corrected for the family.

    test: a function of `crucible_ray.stats`, as `test(b, a, alpha=)`; a paired one pairs by position. Intervals are at
    1 - alpha / m, m the number of pairs, so that they hold together (at 1 - alpha with `none`); a stepwise correction
    can find what they leave open.
    """
    if len(groups) < 2:
        raise StatsError(
            f"pairwise needs two groups or more, one argument each; here there are {len(groups)}"
        )
    labels = labelled(names, len(groups))
    places = all_pairs(len(groups)) if baseline is None else against(len(groups), place(baseline, labels))
    level = alpha if correction == "none" else alpha / len(places)
    found = [test(groups[b], groups[a], alpha=level) for a, b in places]
    if any(result.estimate is None for result in found):
        raise StatsError(f"{found[0].test} estimates no difference of two; pairwise needs a test that does")
    adjusted = corrected([result.p_value for result in found], correction)
    pairs = tuple(
        Pair(
            a=labels[a],
            b=labels[b],
            estimate=result.estimate or 0.0,
            statistic=result.statistic,
            p_value=result.p_value,
            p_adjusted=p_adjusted,
            ci_low=result.ci_low,
            ci_high=result.ci_high,
        )
        for (a, b), result, p_adjusted in zip(places, found, adjusted, strict=True)
    )
    notes = tuple(dict.fromkeys(note for result in found if result.p_value is None for note in result.notes))
    return FamilyResult(
        test=f"pairwise_{found[0].test}",
        pairs=pairs,
        correction=correction,
        measure=found[0].measure,
        n=sum(int(np.count_nonzero(~np.isnan(np.asarray(group, np.float64)))) for group in groups),
        alpha=alpha,
        notes=notes,
    )


def _studentised(
    test: str,
    contrasts: Sequence[Contrast],
    k: int,
    labels: list[str],
    n: int,
    alpha: float,
    notes: tuple[str, ...],
    measure: str = "difference",
) -> FamilyResult:
    from scipy.stats import studentized_range

    plain: list[float | None] = []
    adjusted: list[float | None] = []
    halves: list[float | None] = []
    bounds: dict[float | None, float] = {}
    for c in contrasts:
        if c.statistic is None:
            plain.append(None)
            adjusted.append(None)
            halves.append(None)
            continue
        df = math.inf if c.df is None else c.df
        if c.df not in bounds:
            bounds[c.df] = float(studentized_range.ppf(1 - alpha, k, df)) / math.sqrt(2)
        p_value = two_sided_p(c.statistic, c.df)
        tail = float(studentized_range.sf(abs(c.statistic) * math.sqrt(2), k, df))
        plain.append(p_value)
        # Far out the integral has no digits left: the true p lies between these two.
        adjusted.append(min(max(tail, p_value), len(contrasts) * p_value, 1.0))
        halves.append(bounds[c.df] * c.se)
    pairs = paired_up(contrasts, plain, adjusted, halves, labels)
    return FamilyResult(
        test=test, pairs=pairs, correction="studentised range", measure=measure, n=n, alpha=alpha, notes=notes
    )
