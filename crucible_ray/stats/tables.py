"""Tables of counts: Pearson's chi-square and Fisher's exact test."""

from __future__ import annotations

import math

from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import check_level, chi_square_p
from crucible_ray.stats.inputs import counts, direction
from crucible_ray.stats.result import TestResult

_RELATED = ("Rows and columns are related", "The data show no relation of rows and columns")


def chi_square(table: ArrayLike, *, correction: bool = False, alpha: float = 0.05) -> TestResult:
    """Pearson's chi-square test that rows and columns of a table of counts are independent (Pearson 1900).

    correction: Yates' continuity correction, of a 2 x 2 table. `cramers_v` is not bias-corrected and never uses
    the correction. Raises StatsError on anything but counts, and on an empty row or column.
    """
    from scipy.stats.contingency import expected_freq

    observed = counts(table)
    rows, columns = observed.shape
    if correction and (rows, columns) != (2, 2):
        raise StatsError("the continuity correction is for 2 x 2 tables")
    expected = expected_freq(observed)
    gap = abs(observed - expected)
    plain = float((gap**2 / expected).sum())
    corrected = float(((gap - 0.5).clip(min=0.0) ** 2 / expected).sum())
    statistic, n, df = corrected if correction else plain, int(observed.sum()), (rows - 1) * (columns - 1)
    smallest = float(expected.min())
    exact = "fisher_exact" if (rows, columns) == (2, 2) else "merging rows or columns"
    few = (f"an expected count is {smallest:.2g}, below 5: {exact} is safer",) if smallest < 5 else ()
    return TestResult(
        test="chi_square",
        statistic=statistic,
        df=df,
        p_value=chi_square_p(statistic, df),
        estimate=None,
        ci_low=None,
        ci_high=None,
        effect_sizes={"cramers_v": math.sqrt(plain / (n * (min(rows, columns) - 1)))},
        n=n,
        assumptions=("every count is of other units",),
        notes=few,
        alpha=alpha,
        symbol="chi2",
        says=_RELATED,
    )


def fisher_exact(table: ArrayLike, *, alternative: str = "two-sided", alpha: float = 0.05) -> TestResult:
    """Fisher's exact test of a 2 x 2 table [[a, b], [c, d]] (Fisher 1934), conditional on both margins.

    Two-sided: the tables that are as likely or less. The estimate is the conditional maximum-likelihood odds ratio
    with its exact interval (two tails of alpha / 2, so that it can hold 1 where p is a little below alpha); this is
    what R's fisher.test gives. Raises StatsError on another table.
    """
    from scipy.stats import fisher_exact as scipy_fisher
    from scipy.stats.contingency import odds_ratio

    check_level(alpha)
    observed = counts(table).astype(int)
    if observed.shape != (2, 2):
        raise StatsError(f"fisher_exact is for 2 x 2 tables, this one is {observed.shape}: take chi_square")
    side = direction(alternative)
    found = odds_ratio(observed, kind="conditional")
    interval = found.confidence_interval(1 - alpha)
    sample = (
        {"odds_ratio": observed[0, 0] * observed[1, 1] / (observed[0, 1] * observed[1, 0])}
        if (observed[0, 1] * observed[1, 0])
        else {}
    )
    return TestResult(
        test="fisher_exact",
        statistic=None,
        df=None,
        p_value=float(scipy_fisher(observed, alternative=side).pvalue),
        estimate=float(found.statistic),
        ci_low=float(interval.low),
        ci_high=float(interval.high),
        effect_sizes={name: float(value) for name, value in sample.items()},
        n=int(observed.sum()),
        assumptions=("every count is of other units", "both margins are fixed"),
        alpha=alpha,
        measure="odds ratio",
        alternative=side,
        says=_RELATED,
    )
