"""Checks of what tests assume: normality, equal variances. They are diagnostics: they choose no test."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import check_level, f_p
from crucible_ray.stats.groups import anova
from crucible_ray.stats.inputs import sample, several, two_samples, without_dust
from crucible_ray.stats.result import Floats, TestResult, undefined

_NORMAL = ("The values depart from a normal distribution", "No departure from a normal distribution is seen")
_VARIANCES = ("The variances differ", "No difference of the variances is seen")
_SHAPIRO_MOST = 5_000


def shapiro_wilk(values: ArrayLike, *, alpha: float = 0.05) -> TestResult:
    """Shapiro and Wilk's test of normality, W and p by Royston's approximation (1995, AS R94), for 3 to 5,000 values.

    Raises StatsError with fewer than 3 values or more than 5,000, for which the approximation was not made.
    """
    from scipy.stats import shapiro

    present, notes = sample(values, "the sample", least=3)
    if len(present) > _SHAPIRO_MOST:
        raise StatsError(
            f"shapiro_wilk is for 5,000 values or fewer, not {len(present)}: take anderson_darling"
        )
    if _constant(present):
        return _no_spread("shapiro_wilk", present, alpha)
    # The algorithm loses digits where the mean is large, and warns where the range is small.
    found = shapiro(_standardised(present))
    return _check("shapiro_wilk", "W", float(found.statistic), float(found.pvalue), present, notes, alpha)


def test_normality(values: ArrayLike, *, alpha: float = 0.05) -> TestResult:  # noqa: PT028
    """`shapiro_wilk` under the name that the users' guide gives it."""
    return shapiro_wilk(values, alpha=alpha)


test_normality.__test__ = False  # type: ignore[attr-defined]  # no test case, whatever pytest reads into the name


def anderson_darling(values: ArrayLike, *, alpha: float = 0.05) -> TestResult:
    """Anderson and Darling's test of normality, mean and variance estimated; 8 values or more.

    A2 is not modified, p is Stephens' formula for the modified one (D'Agostino and Stephens 1986, table 4.9), as in
    R's nortest. Raises StatsError with fewer than 8 values.
    """
    from scipy.special import log_ndtr

    present, notes = sample(values, "the sample", least=8)
    if _constant(present):
        return _no_spread("anderson_darling", present, alpha)
    n, z = len(present), _standardised(present)
    terms = (2 * np.arange(1, n + 1) - 1) * (log_ndtr(z) + log_ndtr(-z[::-1]))
    a = -n - math.fsum(terms) / n
    return _check(
        "anderson_darling", "A2", a, _stephens(a * (1 + 0.75 / n + 2.25 / n**2)), present, notes, alpha
    )


def lilliefors(values: ArrayLike, *, alpha: float = 0.05) -> TestResult:
    """Lilliefors' test of normality: Kolmogorov and Smirnov's D with mean and variance estimated; 5 values or more.

    p is Dallal and Wilkinson's formula (1986, The American Statistician 40) below .1 and Stephens' (1974) above, an
    approximation: read a tiny one as p < .001. Raises StatsError with fewer than 5 values.
    """
    from scipy.special import ndtr

    present, notes = sample(values, "the sample", least=5)
    if _constant(present):
        return _no_spread("lilliefors", present, alpha)
    n, below = len(present), ndtr(_standardised(present))
    steps = np.arange(1, n + 1) / n
    d = float(max((steps - below).max(), (below - steps + 1 / n).max()))
    return _check("lilliefors", "D", d, _dallal_wilkinson(d, n), present, notes, alpha)


def dagostino_k2(values: ArrayLike, *, alpha: float = 0.05) -> TestResult:
    """D'Agostino and Pearson's omnibus test of skewness and kurtosis, p by chi-square (1973); 8 values or more.

    Raises StatsError with fewer than 8 values.
    """
    from scipy.stats import normaltest

    return _moments("dagostino_k2", "K2", normaltest, values, alpha, least=8, enough=20)


def jarque_bera(values: ArrayLike, *, alpha: float = 0.05) -> TestResult:
    """Jarque and Bera's test of skewness and kurtosis, p by chi-square with 2 degrees of freedom (1980).

    The approximation wants many values and says so below 2,000. Raises StatsError with fewer than 3 values.
    """
    from scipy.stats import jarque_bera as scipy_jarque_bera

    return _moments("jarque_bera", "JB", scipy_jarque_bera, values, alpha, least=3, enough=2_000)


def levene(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """Levene's test of equal variances: analysis of variance of distances from the group means (Levene 1960)."""
    return _spread_test("levene", groups, alpha, np.mean)


def brown_forsythe(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """Brown and Forsythe's test of equal variances: Levene's from the group medians (1974, JASA 69)."""
    return _spread_test("brown_forsythe", groups, alpha, np.median)


def bartlett(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """Bartlett's test of equal variances (1937), for normal values alone: it reacts to long tails as to variances.

    Undefined where a group has no spread. Raises StatsError with fewer than two values in a group.
    """
    from scipy.stats import bartlett as scipy_bartlett

    values, notes = several(groups)
    if any(_constant(group) for group in values):
        return _flat("bartlett", values, alpha)
    statistic, p_value = (float(value) for value in scipy_bartlett(*values))
    return _variances("bartlett", "chi2", statistic, (len(values) - 1, None), p_value, values, notes, alpha)


def fligner(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """Fligner and Killeen's rank test of equal variances, from group medians, p by chi-square (1976, JASA 71)."""
    from scipy.stats import fligner as scipy_fligner

    values, notes = several(groups)
    centred = [without_dust(group - np.median(group), *values) for group in values]
    if np.ptp(np.abs(np.concatenate(centred))) == 0:
        return _flat("fligner", values, alpha)
    statistic, p_value = (float(value) for value in scipy_fligner(*centred, center="median"))
    return _variances("fligner", "chi2", statistic, (len(values) - 1, None), p_value, values, notes, alpha)


def f_test(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> TestResult:
    """The F test of two variances, treatment over control, two-sided by doubling the smaller tail; normal values.

    The estimate is the ratio of the variances with the interval that is the test's dual (at a ratio of 1). Raises
    StatsError with fewer than two values in either.
    """
    from scipy.special import fdtr, fdtri

    check_level(alpha)
    before, after, notes = two_samples(control, treatment)
    if _constant(before) or _constant(after):
        return _flat("f_test", [before, after], alpha)
    df, df_error = len(after) - 1, len(before) - 1
    ratio = float(after.var(ddof=1) / before.var(ddof=1))
    p_value = 2 * min(float(fdtr(df, df_error, ratio)), f_p(ratio, df, df_error))
    found = _variances("f_test", "F", ratio, (df, df_error), min(1.0, p_value), [before, after], notes, alpha)
    return replace(
        found,
        estimate=ratio,
        ci_low=ratio / float(fdtri(df, df_error, 1 - alpha / 2)),
        ci_high=ratio / float(fdtri(df, df_error, alpha / 2)),
        measure="ratio of variances",
    )


def _constant(values: Floats) -> bool:
    return float(np.ptp(values)) <= 1e-14 * float(np.abs(values).max())


def _standardised(values: Floats) -> Floats:
    ordered = np.sort(values)
    return np.asarray((ordered - ordered.mean()) / ordered.std(ddof=1), np.float64)


def _stephens(a: float) -> float:
    """p of the modified A2: D'Agostino and Stephens 1986, table 4.9, case 3."""
    if a < 0.2:
        return 1 - math.exp(-13.436 + 101.14 * a - 223.73 * a**2)
    if a < 0.34:
        return 1 - math.exp(-8.318 + 42.796 * a - 59.938 * a**2)
    if a < 0.6:
        return math.exp(0.9177 - 4.279 * a - 1.38 * a**2)
    return math.exp(1.2937 - 5.709 * a + 0.0186 * a**2) if a < 10 else 3.7e-24


def _dallal_wilkinson(d: float, n: int) -> float:
    """p of Lilliefors' D: Dallal and Wilkinson's below .1, else the polynomials fitted to Stephens' table."""
    scaled, size = (d, float(n)) if n <= 100 else (d * math.pow(n / 100, 0.49), 100.0)
    root = math.sqrt(size + 2.78019)
    exponent = -7.01256 * (scaled * root) ** 2 + 2.99587 * scaled * root
    p_value = math.exp(exponent - 0.122119 + 0.974598 / math.sqrt(size) + 1.67997 / size)
    if p_value <= 0.1:
        return p_value
    k = (math.sqrt(n) - 0.01 + 0.85 / math.sqrt(n)) * d
    if k <= 0.302:
        return 1.0
    for most, coefficients in _STEPHENS_1974:
        if k <= most:
            return float(np.polynomial.polynomial.polyval(k, coefficients))
    return 0.0


_STEPHENS_1974 = (
    (0.5, (2.76773, -19.828315, 80.709644, -138.55152, 81.218052)),
    (0.9, (-4.901232, 40.662806, -97.490286, 94.029866, -32.355711)),
    (1.31, (6.198765, -19.558097, 23.186922, -12.234627, 2.423045)),
)


def _moments(
    test: str,
    symbol: str,
    run: Callable[[Floats], tuple[float, float]],
    values: ArrayLike,
    alpha: float,
    *,
    least: int,
    enough: int,
) -> TestResult:
    present, notes = sample(values, "the sample", least=least)
    if _constant(present):
        return _no_spread(test, present, alpha)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy's word on small samples is our note
        statistic, p_value = (float(value) for value in run(_standardised(present)))
    few = (
        (f"fewer than {enough} values: the chi-square approximation is rough",)
        if len(present) < enough
        else ()
    )
    return replace(_check(test, symbol, statistic, p_value, present, notes + few, alpha), df=2)


def _check(
    test: str,
    symbol: str,
    statistic: float,
    p_value: float,
    values: Floats,
    notes: tuple[str, ...],
    alpha: float,
) -> TestResult:
    return TestResult(
        test=test,
        statistic=statistic,
        df=None,
        p_value=p_value,
        estimate=None,
        ci_low=None,
        ci_high=None,
        n=len(values),
        assumptions=("all values are independent of one another",),
        notes=notes,
        alpha=alpha,
        symbol=symbol,
        says=_NORMAL,
    )


def _no_spread(test: str, values: Floats, alpha: float) -> TestResult:
    note = "all values are the same: they have no distribution to speak of"
    return undefined(test, estimate=None, n=len(values), note=note, alpha=alpha)


def _spread_test(
    test: str, groups: Sequence[ArrayLike], alpha: float, centre: Callable[[Floats], np.floating[Any]]
) -> TestResult:
    values, notes = several(groups)
    distances = [np.abs(group - centre(group)) for group in values]
    found = anova(*distances, alpha=alpha)
    if found.statistic is None or found.p_value is None or found.df is None:
        return _flat(test, values, alpha)
    degrees = (found.df, found.df_error)
    return _variances(test, "F", found.statistic, degrees, found.p_value, values, notes, alpha)


def _variances(
    test: str,
    symbol: str,
    statistic: float,
    degrees: tuple[float, float | None],
    p_value: float,
    values: Sequence[Floats],
    notes: tuple[str, ...],
    alpha: float,
) -> TestResult:
    normal = test in ("bartlett", "f_test")
    return TestResult(
        test=test,
        statistic=statistic,
        df=degrees[0],
        df_error=degrees[1],
        p_value=p_value,
        estimate=None,
        ci_low=None,
        ci_high=None,
        n=sum(map(len, values)),
        assumptions=(
            "all values are independent of one another",
            *(("the values are normal",) if normal else ()),
        ),
        notes=notes,
        alpha=alpha,
        symbol=symbol,
        says=_VARIANCES,
    )


def _flat(test: str, values: Sequence[Floats], alpha: float) -> TestResult:
    note = "a group has no spread, or all values lie as far from the centre: there is nothing to compare"
    return undefined(test, estimate=None, n=sum(map(len, values)), note=note, alpha=alpha)
