"""Tests on ranks and signs: Mann-Whitney, Brunner-Munzel, Wilcoxon's signed ranks, the sign test."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import check_level, critical, tail_p
from crucible_ray.stats.inputs import direction, pairs, two_samples, without_dust
from crucible_ray.stats.result import Floats, Interval, TestResult, undefined

EXACT_BELOW = 50
"""Values a sample below which p-values of ranks are exact, as in R's wilcox.test."""
_DIRECT = 4_000_000
"""Differences that are held in memory; beyond, their order statistics are searched for."""


def mann_whitney(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    method: str = "auto",
    alternative: str = "two-sided",
    alpha: float = 0.05,
) -> TestResult:
    """The Mann-Whitney U test (Wilcoxon's rank sum), U of treatment, mid-ranks for ties.

    `exact`: the permutation distribution given the ties; `asymptotic`: normal with the variance corrected for ties
    and a continuity correction; `auto`: exact with fewer than 50 values in each sample. Two-sided: as far from its
    mean or farther, on either side. The estimate is Hodges and Lehmann's shift, the median of all differences, its
    interval lies between two of them (Hollander and Wolfe 1973). Raises StatsError on no value.
    """
    check_level(alpha)
    before, after, notes = two_samples(control, treatment, least=1)
    m, n = len(before), len(after)
    ranks = _ranks(np.concatenate([before, after]))
    u = float(ranks[m:].sum()) - n * (n + 1) / 2
    exact = _is_exact(method, max(m, n))
    counts = np.unique(ranks, return_counts=True)[1]
    ties = float((counts.astype(float) ** 3 - counts).sum())
    total = m + n
    sigma = math.sqrt(max(0.0, m * n / 12 * (total + 1 - ties / (total * (total - 1)))))
    side = direction(alternative)
    if sigma == 0.0:
        return undefined("mann_whitney", estimate=0.0, n=total, note="all values are the same", alpha=alpha)
    if exact:
        totals, chances = _rank_sums(ranks, n)
        p_value = _exact_p(totals - n * (n + 1) / 2 - m * n / 2, chances, u - m * n / 2, side)
        lowest = _last_below(totals - n * (n + 1) / 2, chances, alpha / 2)
    else:
        p_value = _corrected_p(u - m * n / 2, 0.5, sigma, side)
        lowest = math.floor(m * n / 2 - 0.5 - critical(alpha) * sigma) + 1
    estimate, interval = _shift(before, after, lowest)
    share = u / (m * n)
    return TestResult(
        test="mann_whitney",
        statistic=u,
        df=None,
        p_value=p_value,
        estimate=estimate,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        effect_sizes={"vargha_delaney_a": share, "rank_biserial": 2 * share - 1},
        n=total,
        assumptions=(
            "all values are independent of one another",
            "a shift: both samples have the same shape",
        ),
        notes=(*notes, "exact p" if exact else "p by the normal approximation with continuity correction"),
        alpha=alpha,
        symbol="U",
        measure="shift",
        alternative=side,
    )


def brunner_munzel(
    control: ArrayLike, treatment: ArrayLike, *, alternative: str = "two-sided", alpha: float = 0.05
) -> TestResult:
    """Brunner and Munzel's test that neither sample tends to larger values (2000, Biometrical Journal 42), with t.

    No equal shapes or variances are assumed; suits ordinal scores. The estimate is P(treatment > control) -
    P(treatment < control), Cliff's delta, with the interval that is the test's dual, cut at -1 and 1. Undefined
    where the samples do not overlap. Raises StatsError with fewer than two values in either.
    """
    before, after, notes = two_samples(control, treatment)
    m, n = len(before), len(after)
    ranks = _ranks(np.concatenate([before, after]))
    placed = ((ranks[:m] - _ranks(before)) / n, (ranks[m:] - _ranks(after)) / m)
    share = float(placed[1].mean())
    delta = 2 * share - 1
    variances = [float(values.var(ddof=1)) / len(values) for values in placed]
    if sum(variances) <= 1e-28:
        note = "the samples do not overlap, or all values are alike: take mann_whitney or permutation_test"
        return undefined(
            "brunner_munzel", estimate=delta, n=m + n, note=note, alpha=alpha, measure="P(T>C) - P(T<C)"
        )
    df = sum(variances) ** 2 / (variances[0] ** 2 / (m - 1) + variances[1] ** 2 / (n - 1))
    se = 2 * math.sqrt(sum(variances))
    half, side = critical(alpha, df) * se, direction(alternative)
    small = ("fewer than 10 values in a sample: the t approximation is rough",) if min(m, n) < 10 else ()
    return TestResult(
        test="brunner_munzel",
        statistic=delta / se,
        df=df,
        p_value=tail_p(delta / se, df, alternative=side),
        estimate=delta,
        ci_low=max(-1.0, delta - half),
        ci_high=min(1.0, delta + half),
        effect_sizes={"vargha_delaney_a": share, "cliffs_delta": delta},
        n=m + n,
        assumptions=("all values are independent of one another",),
        notes=notes + small,
        alpha=alpha,
        measure="P(T>C) - P(T<C)",
        alternative=side,
    )


def wilcoxon(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    method: str = "auto",
    alternative: str = "two-sided",
    alpha: float = 0.05,
) -> TestResult:
    """Wilcoxon's signed-rank test of paired values; V is the sum of the ranks of positive differences.

    Differences of zero are dropped (Wilcoxon's way), ties have mid-ranks. `exact`: the sign-flip distribution given
    the ties; `asymptotic`: normal, corrected for ties and continuity; `auto`: exact below 50 differences. The
    estimate is Hodges and Lehmann's pseudomedian, the median of Walsh averages, with an interval between two of
    them (Hollander and Wolfe 1973). Raises StatsError on unequal lengths.
    """
    check_level(alpha)
    before, after, notes = pairs(control, treatment, least=1)
    diff = without_dust(after - before, before, after)
    nonzero = diff[diff != 0]
    n = len(nonzero)
    if n == 0:
        return undefined("wilcoxon", estimate=0.0, n=len(diff), note="every difference is zero", alpha=alpha)
    if n < len(diff):
        notes += (f"{len(diff) - n} differences of zero dropped",)
    ranks, side = _ranks(np.abs(nonzero)), direction(alternative)
    v, mean = float(ranks[nonzero > 0].sum()), n * (n + 1) / 4
    exact = _is_exact(method, n)
    if exact:
        totals, chances = signed_sums(ranks)
        p_value = _exact_p(totals - mean, chances, v - mean, side)
        lowest = _last_below(totals, chances, alpha / 2)
    else:
        sigma = math.sqrt(float((ranks**2).sum()) / 4)
        p_value = _corrected_p(v - mean, 0.5, sigma, side)
        lowest = math.floor(mean - 0.5 - critical(alpha) * sigma) + 1
    estimate, interval = _pseudomedian(nonzero, lowest)
    return TestResult(
        test="wilcoxon",
        statistic=v,
        df=None,
        p_value=p_value,
        estimate=estimate,
        ci_low=interval.low if interval else None,
        ci_high=interval.high if interval else None,
        effect_sizes={"rank_biserial": v / mean - 1},
        n=len(diff),
        assumptions=("pairs are independent of one another", "differences are symmetric about their median"),
        notes=(*notes, "exact p" if exact else "p by the normal approximation with continuity correction"),
        alpha=alpha,
        symbol="V",
        measure="pseudomedian of differences",
        alternative=side,
    )


def sign_test(
    control: ArrayLike, treatment: ArrayLike, *, alternative: str = "two-sided", alpha: float = 0.05
) -> TestResult:
    """The exact sign test of paired values: binomial on the differences that are not zero (Dixon and Mood 1946).

    The estimate is the median of all differences; its interval lies between the order statistics that cover it with
    1 - alpha or more. Raises StatsError on unequal lengths.
    """
    from scipy.stats import binomtest

    before, after, notes = pairs(control, treatment, least=1)
    diff = np.sort(without_dust(after - before, before, after))
    gains, losses = int((diff > 0).sum()), int((diff < 0).sum())
    side = direction(alternative)
    p_value = float(binomtest(gains, gains + losses, 0.5, alternative=side).pvalue) if gains + losses else 1.0
    rank = _binomial_rank(len(diff), alpha)
    return TestResult(
        test="sign_test",
        statistic=float(gains),
        df=None,
        p_value=p_value,
        estimate=float(np.median(diff)),
        ci_low=float(diff[rank]) if rank >= 0 else None,
        ci_high=float(diff[-1 - rank]) if rank >= 0 else None,
        effect_sizes={"share_higher": gains / (gains + losses)} if gains + losses else {},
        n=len(diff),
        assumptions=("pairs are independent of one another",),
        notes=(*notes, f"{gains} higher, {losses} lower, {len(diff) - gains - losses} alike"),
        alpha=alpha,
        symbol="S",
        measure="median difference",
        alternative=side,
    )


def signed_sums(weights: Floats) -> tuple[Floats, Floats]:
    """Every sum of a subset of the weights (halves of whole numbers), and its probability when each is in or out.

    Shapes [sums]; the sum of positive ranks under random signs. Exact: no term is ever subtracted.
    """
    doubled = np.rint(2 * weights).astype(int)
    chances = np.zeros(int(doubled.sum()) + 1)
    chances[0] = 1.0
    top = 0
    for weight in doubled:
        chances[weight : top + weight + 1] += chances[: top + 1].copy()
        chances *= 0.5
        top += weight
    return np.arange(len(chances)) / 2, chances


def _rank_sums(ranks: Floats, size: int) -> tuple[Floats, Floats]:
    """Every sum of `size` of the mid-ranks and its probability when each choice is as likely."""
    doubled = np.rint(2 * ranks).astype(int)
    ways = np.zeros((size + 1, int(np.sort(doubled)[-size:].sum()) + 1))
    ways[0, 0] = 1.0
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, : ways.shape[1] - rank].copy()
    return np.arange(ways.shape[1]) / 2, ways[size] / ways[size].sum()


def _exact_p(centred: Floats, chances: Floats, observed: float, alternative: str) -> float:
    if alternative == "two-sided":
        tail = chances[np.abs(centred) >= abs(observed) - 1e-9]
    elif alternative == "greater":
        tail = chances[centred >= observed - 1e-9]
    else:
        tail = chances[centred <= observed + 1e-9]
    return min(1.0, math.fsum(tail))


def _last_below(values: Floats, chances: Floats, level: float) -> int:
    """The largest whole number k with P(statistic < k) at or below the level: the rank of the lower limit."""
    below = np.cumsum(chances)
    place = int(np.searchsorted(below, level * (1 + 1e-12), side="right"))
    return int(np.floor(values[place]))


def _corrected_p(centred: float, step: float, sigma: float, alternative: str) -> float:
    if alternative == "two-sided":
        return min(1.0, tail_p(max(0.0, abs(centred) - step) / sigma))
    shifted = centred - step if alternative == "greater" else centred + step
    return tail_p(shifted / sigma, alternative=alternative)


def _is_exact(method: str, size: int) -> bool:
    if method not in ("auto", "exact", "asymptotic"):
        raise StatsError(f"no method {method!r}: auto, exact or asymptotic")
    if method == "exact" and size > 200:
        raise StatsError(
            f"exact ranks are for 200 values or fewer a sample, not {size}; take method='asymptotic'"
        )
    return method == "exact" or (method == "auto" and size < EXACT_BELOW)


def _ranks(values: Floats) -> Floats:
    from scipy.stats import rankdata

    return np.asarray(rankdata(values), np.float64)


def _shift(before: Floats, after: Floats, lowest: int) -> tuple[float, Interval | None]:
    """The median of all differences and the interval between the `lowest`th from either end, counting from 1."""
    total = len(before) * len(after)
    if total <= _DIRECT:
        return _between(np.subtract.outer(after, before).ravel(), lowest)
    before, after = np.sort(before), np.sort(after)

    def at_most(value: float) -> int:
        return total - int(np.searchsorted(before, after - value, side="left").sum())

    return _searched(at_most, float(after[0] - before[-1]), float(after[-1] - before[0]), total, lowest)


def _pseudomedian(diff: Floats, lowest: int) -> tuple[float, Interval | None]:
    """The same of all Walsh averages, the means of two differences or of one with itself."""
    total = len(diff) * (len(diff) + 1) // 2
    if total <= _DIRECT:
        rows, columns = np.triu_indices(len(diff))
        return _between((diff[rows] + diff[columns]) / 2, lowest)
    diff = np.sort(diff)

    def at_most(value: float) -> int:
        ordered = int(np.searchsorted(diff, 2 * value - diff, side="right").sum())
        return (ordered + int((diff <= value).sum())) // 2

    return _searched(at_most, float(diff[0]), float(diff[-1]), total, lowest)


def _searched(
    at_most: Callable[[float], int], least: float, most: float, total: int, lowest: int
) -> tuple[float, Interval | None]:
    """`_between` of values that are too many to hold, of which `at_most` counts those up to a value."""

    def at(rank: int) -> float:
        low, high = least, most
        while high - low > 1e-13 * max(abs(low), abs(high)) and low < (middle := (low + high) / 2) < high:
            low, high = (low, middle) if at_most(middle) >= rank else (middle, high)
        return high

    median = (at((total + 1) // 2) + at(total // 2 + 1)) / 2
    return median, Interval(at(lowest), at(total + 1 - lowest)) if lowest >= 1 else None


def _between(values: Floats, lowest: int) -> tuple[float, Interval | None]:
    values = np.sort(values)
    interval = Interval(float(values[lowest - 1]), float(values[-lowest])) if lowest >= 1 else None
    return float(np.median(values)), interval


def _binomial_rank(n: int, alpha: float) -> int:
    """The rank from 0 whose order statistic bounds the median at alpha / 2; -1: none does."""
    from scipy.special import bdtr

    return int(np.searchsorted(bdtr(np.arange(n), n, 0.5), alpha / 2, side="right")) - 1
