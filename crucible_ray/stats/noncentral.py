"""Intervals of noncentrality: which noncentral distributions have the observed statistic inside their middle 1 - alpha.

The interval inverts the distribution function, which falls in the noncentrality (Steiger 2004, Psychological
Methods 9, 164-182).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from crucible_ray.errors import StatsError
from crucible_ray.stats.result import Interval


def t_noncentrality(t: float, df: float, alpha: float) -> Interval:
    """Limits of the noncentrality of Student's t; may be negative."""
    from scipy.stats import nct

    reach = 10 + abs(t) / math.sqrt(df)
    span = (t - abs(t) - reach, t + abs(t) + reach)

    def below(noncentrality: float) -> float:
        # The reflected form keeps the tail that matters free of cancellation.
        if t < 0:
            return float(nct.sf(-t, df, -noncentrality))
        return float(nct.cdf(t, df, noncentrality))

    return Interval(_solve(below, 1 - alpha / 2, *span), _solve(below, alpha / 2, *span))


def f_noncentrality(f: float, df1: float, df2: float, alpha: float) -> Interval:
    """Limits of the noncentrality of F, from 0 on."""
    from scipy.stats import f as central
    from scipy.stats import ncf

    def below(noncentrality: float) -> float:
        if noncentrality == 0:
            return float(central.cdf(f, df1, df2))
        return float(ncf.cdf(f, df1, df2, noncentrality))

    return _from_zero(below, alpha, 4 * f * df1 + 50)


def chi_square_noncentrality(chi_square: float, df: float, alpha: float) -> Interval:
    """Limits of the noncentrality of chi-square, from 0 on."""
    from scipy.stats import chi2, ncx2

    def below(noncentrality: float) -> float:
        if noncentrality == 0:
            return float(chi2.cdf(chi_square, df))
        return float(ncx2.cdf(chi_square, df, noncentrality))

    return _from_zero(below, alpha, 4 * chi_square + 50)


def _from_zero(below: Callable[[float], float], alpha: float, reach: float) -> Interval:
    at_zero = below(0.0)
    low = _solve(below, 1 - alpha / 2, 0.0, reach) if at_zero > 1 - alpha / 2 else 0.0
    high = _solve(below, alpha / 2, 0.0, reach) if at_zero > alpha / 2 else 0.0
    return Interval(low, high)


def _solve(below: Callable[[float], float], target: float, low: float, high: float) -> float:
    from scipy.optimize import brentq

    width = high - low
    for _ in range(60):
        if below(high) < target:
            break
        high += width
        width *= 2
    else:
        raise StatsError("the effect is too large for an interval by the noncentral distribution")
    for _ in range(60):
        if below(low) > target:
            break
        low -= width
        width *= 2
    return float(brentq(lambda value: below(value) - target, low, high, xtol=1e-12, rtol=1e-13))
