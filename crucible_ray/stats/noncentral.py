"""Intervals of noncentrality: which noncentral distributions have the observed statistic inside their middle 1 - alpha.

The interval inverts the distribution function, which falls in the noncentrality (Steiger 2004, Psychological
Methods 9, 164-182). The roots are looked for between bounds that hold whatever the data: with S^2 the chi-square
below the line over its degrees of freedom, noncentrality + Z <= t S has a chance of alpha / 2 at most where the
noncentrality is t s + z, each of s and z exceeded with chance alpha / 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from crucible_ray.stats.distributions import critical, root
from crucible_ray.stats.result import Interval

_FAR = 1e4
"""A t (or a root of F's numerator) beyond which the normal part no longer shows: what is left is the chi-square."""


def t_noncentrality(t: float, df: float, alpha: float) -> Interval:
    """Limits of the noncentrality of Student's t; may be negative."""
    if t < 0:
        low, high = t_noncentrality(-t, df, alpha)
        return Interval(-high, -low)
    from scipy.stats import nct

    if t > _FAR:
        return Interval(*(t * math.sqrt(_spread(level, df)) for level in (alpha / 2, 1 - alpha / 2)))

    def below(noncentrality: float) -> float:
        return float(nct.cdf(t, df, noncentrality))

    top = t * math.sqrt(_spread(1 - alpha / 4, df)) + critical(alpha / 2)
    bottom = -critical(alpha / 2)
    return Interval(_solve(below, 1 - alpha / 2, bottom, top), _solve(below, alpha / 2, bottom, top))


def f_noncentrality(f: float, df1: float, df2: float, alpha: float) -> Interval:
    """Limits of the noncentrality of F, from 0 on."""
    from scipy.stats import f as central
    from scipy.stats import ncf

    if f * df1 > _FAR**2:
        return Interval(*(f * df1 * _spread(level, df2) for level in (alpha / 2, 1 - alpha / 2)))

    def below(noncentrality: float) -> float:
        if noncentrality == 0:
            return float(central.cdf(f, df1, df2))
        return float(ncf.cdf(f, df1, df2, noncentrality))

    root = math.sqrt(f * df1 * _spread(1 - alpha / 4, df2)) + critical(alpha / 2)
    return _from_zero(below, alpha, root**2)


def chi_square_noncentrality(chi_square: float, df: float, alpha: float) -> Interval:
    """Limits of the noncentrality of chi-square, from 0 on."""
    from scipy.stats import chi2, ncx2

    def below(noncentrality: float) -> float:
        if noncentrality == 0:
            return float(chi2.cdf(chi_square, df))
        return float(ncx2.cdf(chi_square, df, noncentrality))

    return _from_zero(below, alpha, (math.sqrt(chi_square) + critical(alpha / 2)) ** 2)


def _spread(level: float, df: float) -> float:
    """A quantile of chi-square over its degrees of freedom."""
    from scipy.stats import chi2

    return float(chi2.ppf(level, df)) / df


def _from_zero(below: Callable[[float], float], alpha: float, top: float) -> Interval:
    at_zero = below(0.0)
    low = _solve(below, 1 - alpha / 2, 0.0, top) if at_zero > 1 - alpha / 2 else 0.0
    high = _solve(below, alpha / 2, 0.0, top) if at_zero > alpha / 2 else 0.0
    return Interval(low, high)


def _solve(below: Callable[[float], float], target: float, low: float, high: float) -> float:
    return root(lambda value: below(value) - target, low, high, xtol=1e-11, rtol=1e-11)
