"""Quantiles and tails of the normal and Student's t distribution; scipy is imported on first use."""

from __future__ import annotations

from collections.abc import Callable

from crucible_ray.errors import StatsError


def check_level(alpha: float) -> float:
    """alpha itself; raises StatsError unless 0 < alpha < 1."""
    if not 0 < alpha < 1:
        raise StatsError(f"alpha is {alpha}; it must lie between 0 and 1: 5 % is 0.05")
    return alpha


def root(
    function: Callable[[float], float],
    low: float,
    high: float,
    xtol: float = 2e-12,
    rtol: float = 8.881784197001252e-16,
) -> float:
    """Where an interval's end lies; raises StatsError where no double is near enough to the level."""
    from scipy.optimize import brentq

    try:
        return float(brentq(function, low, high, xtol=xtol, rtol=rtol))
    except ValueError as error:
        raise StatsError(
            f"no interval can be computed at this alpha, which is too near 0 or 1 for these values ({error})"
        ) from None


def normal_quantile(probability: float) -> float:
    """The standard normal's quantile."""
    from scipy.special import ndtri

    return float(ndtri(probability))


def normal_cdf(value: float) -> float:
    """The standard normal's distribution function."""
    from scipy.special import ndtr

    return float(ndtr(value))


def critical(alpha: float, df: float | None = None) -> float:
    """Two-sided critical value at level alpha: normal, or Student's t where `df` is given.

    Raises StatsError unless 0 < alpha < 1.
    """
    from scipy.special import ndtri, stdtrit

    half = check_level(alpha) / 2
    return float(-ndtri(half) if df is None else -stdtrit(df, half))


def two_sided_p(statistic: float, df: float | None = None) -> float:
    """The two-sided p-value of a z statistic, or of a t statistic where `df` is given."""
    from scipy.special import ndtr, stdtr

    return float(2 * (ndtr(-abs(statistic)) if df is None else stdtr(df, -abs(statistic))))


def chi_square_p(statistic: float, df: float) -> float:
    """The upper tail of a chi-square statistic."""
    from scipy.special import chdtrc

    return float(chdtrc(df, statistic))


def tail_p(statistic: float, df: float | None = None, *, alternative: str = "two-sided") -> float:
    """The p-value of a z or t statistic on the side of the alternative: `less`, `greater` or both."""
    if alternative == "two-sided":
        return two_sided_p(statistic, df)
    from scipy.special import ndtr, stdtr

    signed = statistic if alternative == "less" else -statistic
    return float(ndtr(signed) if df is None else stdtr(df, signed))


def f_p(statistic: float, df: float, df_error: float) -> float:
    """The upper tail of an F statistic."""
    from scipy.special import fdtrc

    return float(fdtrc(df, df_error, statistic))
