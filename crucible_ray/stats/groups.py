"""Three samples or more: analysis of variance and its rank versions, independent or for the same items."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import chi_square_p, f_p
from crucible_ray.stats.inputs import BINARY, blocks, is_binary, several
from crucible_ray.stats.result import Floats, TestResult, undefined

DIFFER = ("At least one group differs from another", "The data do not tell the groups apart")
_SAME_ITEMS = ("items are independent of one another",)
_INDEPENDENT = ("all values are independent of one another",)


def anova(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """One-way analysis of variance of independent groups (Fisher 1925), one common variance.

    groups: each shape [n], NaN left out and noted. `eta_squared` and `omega_squared` are of the sums of squares.
    Raises StatsError with fewer than two groups, or two values in one.
    """
    values, notes = several(groups)
    n, k = sum(map(len, values)), len(values)
    means = [math.fsum(group) / len(group) for group in values]
    centre = math.fsum(np.concatenate(values)) / n
    between = math.fsum(len(group) * (mean - centre) ** 2 for group, mean in zip(values, means, strict=True))
    within = math.fsum(math.fsum((group - mean) ** 2) for group, mean in zip(values, means, strict=True))
    if within <= n * _rounding(*values):
        return _undefined("anova", n, alpha)
    error = within / (n - k)
    result = _f_result("anova", between / (k - 1) / error, k - 1, n - k, n, alpha)
    effects = {
        "eta_squared": between / (between + within),
        "omega_squared": (between - (k - 1) * error) / (between + within + error),
    }
    return replace(
        result,
        effect_sizes=effects,
        assumptions=(*_INDEPENDENT, "the means are near normal", "all groups have the same variance"),
        notes=notes + _on_binary("chi_square", *values),
    )


def welch_anova(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """Welch's analysis of variance of independent groups, each with its own variance (Welch 1951, Biometrika 38).

    Undefined where a group has no spread. Raises StatsError as `anova` does.
    """
    values, notes = several(groups)
    n, k = sum(map(len, values)), len(values)
    sizes = np.array([len(group) for group in values], np.float64)
    means = np.array([group.mean() for group in values])
    variances = np.array([group.var(ddof=1) for group in values])
    if variances.min() <= _rounding(*values):
        return _undefined("welch_anova", n, alpha, "a group has no spread: the test is undefined")
    weights = sizes / variances
    share = weights / weights.sum()
    centre = float((share * means).sum())
    lack = float(((1 - share) ** 2 / (sizes - 1)).sum())
    between = float((weights * (means - centre) ** 2).sum()) / (k - 1)
    f = between / (1 + 2 * (k - 2) / (k**2 - 1) * lack)
    result = _f_result("welch_anova", f, k - 1, (k**2 - 1) / (3 * lack), n, alpha)
    return replace(
        result,
        assumptions=(*_INDEPENDENT, "the means are near normal"),
        notes=notes + _on_binary("chi_square", *values),
    )


def kruskal_wallis(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """Kruskal and Wallis' test on ranks of independent groups, corrected for ties, p by chi-square (1952, JASA 47).

    `epsilon_squared` is H / (n - 1) (Tomczak and Tomczak 2014). Raises StatsError on an empty group.
    """
    from scipy.stats import kruskal

    values, notes = several(groups, least=1)
    n, k = sum(map(len, values)), len(values)
    if np.ptp(np.concatenate(values)) == 0:
        return _undefined("kruskal_wallis", n, alpha, "all values are the same")
    h, p_value = (float(value) for value in kruskal(*values))
    small = ("fewer than five values in a group: the chi-square approximation is rough",)
    return TestResult(
        test="kruskal_wallis",
        statistic=h,
        df=k - 1,
        p_value=p_value,
        estimate=None,
        ci_low=None,
        ci_high=None,
        effect_sizes={"epsilon_squared": h / (n - 1)},
        n=n,
        assumptions=_INDEPENDENT,
        notes=notes + (small if min(map(len, values)) < 5 else ()),
        alpha=alpha,
        symbol="H",
        says=DIFFER,
    )


def repeated_measures_anova(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """Analysis of variance of the same items under several conditions, corrected for lack of sphericity.

    groups: one per condition, shape [items] paired by position, or [items, repeats], of which each item's mean is
    taken. Degrees of freedom are shrunk by Greenhouse and Geisser's epsilon (1959, Psychometrika 24); the
    uncorrected p is in the notes. `partial_eta_squared` is of the sums of squares. Raises StatsError on unequal
    lengths or fewer than two complete items.
    """
    table, notes = blocks(groups)
    n, k = table.shape
    centred = table - table.mean(axis=1, keepdims=True)
    effects = centred.mean(axis=0)
    residuals = centred - effects
    between, within = n * math.fsum(effects**2), math.fsum((residuals**2).ravel())
    if within <= table.size * _rounding(table):
        return _undefined("repeated_measures_anova", n, alpha)
    f = between / (k - 1) / (within / ((k - 1) * (n - 1)))
    covariance = residuals.T @ residuals / (n - 1)
    epsilon = float(np.trace(covariance) ** 2 / ((k - 1) * (covariance**2).sum()))
    plain = f_p(f, k - 1, (k - 1) * (n - 1))
    result = _f_result("repeated_measures_anova", f, (k - 1) * epsilon, (k - 1) * (n - 1) * epsilon, n, alpha)
    said = (
        f"Greenhouse and Geisser's epsilon is {epsilon:.3f}; with sphericity assumed p would be {plain:.3g}"
    )
    return replace(
        result,
        effect_sizes={"partial_eta_squared": between / (between + within)},
        assumptions=(*_SAME_ITEMS, "the means are near normal"),
        notes=(*notes, said, *_on_binary("cochran_q", table)),
    )


def friedman(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """Friedman's test on ranks within items, corrected for ties, p by chi-square (Friedman 1937, JASA 32).

    groups: as for `repeated_measures_anova`, two conditions or more. `kendalls_w` is chi-square over n (k - 1).
    """
    from scipy.stats import rankdata

    table, notes = blocks(groups)
    n, k = table.shape
    ranks = np.asarray(rankdata(table, axis=1), np.float64)
    spread = math.fsum(((ranks - (k + 1) / 2) ** 2).ravel())
    if spread == 0:
        return _undefined("friedman", n, alpha, "no item tells the conditions apart")
    sums = ranks.sum(axis=0) - n * (k + 1) / 2
    statistic = (k - 1) * math.fsum(sums**2) / spread
    small = ("fewer than 10 items: the chi-square approximation is rough",) if n < 10 else ()
    return _chi_square(
        "friedman", statistic, k - 1, n, alpha, notes + small, {"kendalls_w": statistic / (n * (k - 1))}
    )


def cochran_q(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """Cochran's Q: are several conditions right equally often on the same items? (Cochran 1950, Biometrika 37).

    groups: 0 or 1, shape [items], paired by position; p by chi-square. With two conditions Q is the square of the
    McNemar score statistic. Raises StatsError on other values.
    """
    table, notes = blocks(groups)
    if not is_binary(table):
        raise StatsError(
            "cochran_q is for outcomes of 0 and 1; for others take repeated_measures_anova or friedman"
        )
    n, k = table.shape
    columns, rows = table.sum(axis=0), table.sum(axis=1)
    spread = float((rows * (k - rows)).sum())
    if spread == 0:
        return _undefined("cochran_q", n, alpha, "no item tells the conditions apart")
    differing = int(((rows > 0) & (rows < k)).sum())
    said = f"{differing} of {n} items tell the conditions apart"
    small = (
        ("fewer than 24 informative values: p is rough (Tate and Brown 1970)",) if differing * k < 24 else ()
    )
    statistic = k * (k - 1) * float(((columns - columns.mean()) ** 2).sum()) / spread
    return _chi_square("cochran_q", statistic, k - 1, n, alpha, (*notes, said, *small), {})


def _f_result(test: str, f: float, df: float, df_error: float, n: int, alpha: float) -> TestResult:
    return TestResult(
        test=test,
        statistic=f,
        df=df,
        df_error=df_error,
        p_value=f_p(f, df, df_error),
        estimate=None,
        ci_low=None,
        ci_high=None,
        n=n,
        alpha=alpha,
        symbol="F",
        says=DIFFER,
    )


def _chi_square(
    test: str,
    statistic: float,
    df: int,
    n: int,
    alpha: float,
    notes: tuple[str, ...],
    effects: dict[str, float],
) -> TestResult:
    return TestResult(
        test=test,
        statistic=statistic,
        df=df,
        p_value=chi_square_p(statistic, df),
        estimate=None,
        ci_low=None,
        ci_high=None,
        effect_sizes=effects,
        n=n,
        assumptions=_SAME_ITEMS,
        notes=notes,
        alpha=alpha,
        symbol="chi2",
        says=DIFFER,
    )


def _undefined(
    test: str, n: int, alpha: float, note: str = "nothing varies within the groups: the test is undefined"
) -> TestResult:
    return replace(undefined(test, estimate=None, n=n, note=note, alpha=alpha), says=DIFFER)


def _rounding(*values: Floats) -> float:
    """A variance that rounding alone leaves where all values of a group are alike."""
    return float(1e-14 * max(np.abs(group).max() for group in values)) ** 2


def _on_binary(better: str, *values: Floats) -> tuple[str, ...]:
    return (BINARY.format(better),) if is_binary(*values) else ()
