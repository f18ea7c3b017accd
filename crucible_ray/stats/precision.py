"""After the run: what a design could have found, and what the p-value says of power, which is nothing new."""

from __future__ import annotations

import math

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical, normal_cdf, normal_quantile


def detectable_difference(
    standard_error: float, *, df: float | None = None, power: float = 0.8, alpha: float = 0.05
) -> float:
    """The smallest true difference that an estimate with this standard error finds with `power`, two-sided.

    df: degrees of freedom of the t-test; None: normal. Raises StatsError unless power lies between alpha / 2 and 1.
    """
    if not alpha / 2 < power < 1:
        raise StatsError(f"power is {power:g}; it lies between alpha / 2 and 1")
    if df is None:
        return standard_error * (critical(alpha) + normal_quantile(power))
    from scipy.optimize import brentq
    from scipy.stats import nct

    limit = critical(alpha, df)
    most = 2.0 * (limit + critical(2 * (1 - power), df) if power > 0.5 else limit) + 1.0
    return standard_error * float(brentq(lambda away: float(nct.sf(limit, df, away)) - power, 0.0, most))


def standard_error(ci_low: float, ci_high: float, *, df: float | None = None, alpha: float = 0.05) -> float:
    """What the width of an interval at 1 - alpha stands for, as t's with `df`, or as a normal one."""
    return (ci_high - ci_low) / (2 * critical(alpha, df))


def achieved_power(p_value: float, *, alpha: float = 0.05) -> float:
    """Power of a two-sided test at alpha, were the estimate the truth: a function of p alone, and no evidence.

    p = alpha gives one half, whatever the data (Hoenig and Heisey 2001, The American Statistician 55).
    """
    if not 0 <= p_value <= 1:
        raise StatsError(f"p is {p_value:g}; it lies between 0 and 1")
    away, limit = (
        (critical(p_value) if 0 < p_value < 1 else math.inf if p_value == 0 else 0.0),
        critical(alpha),
    )
    return normal_cdf(away - limit) + normal_cdf(-away - limit)
