"""Two independent samples: Student's and Welch's t, the z-test of two proportions with its score interval."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical, tail_p
from crucible_ray.stats.inputs import BINARY, direction, is_binary, two_samples
from crucible_ray.stats.result import Floats, Interval, TestResult, over_error, undefined
from crucible_ray.stats.sums import exact_sum

_NO_SPREAD = "neither sample has any spread: the test is undefined"


def student_t(
    control: ArrayLike, treatment: ArrayLike, *, alternative: str = "two-sided", alpha: float = 0.05
) -> TestResult:
    """Student's t-test of two independent samples (Student 1908): pooled variance, n1 + n2 - 2 degrees of freedom.

    control, treatment: shape [n], NaN left out and noted. `cohens_d` is over the pooled standard deviation. Raises
    StatsError with fewer than two values in either.
    """
    before, after, notes = two_samples(control, treatment)
    n_before, n_after = len(before), len(after)
    estimate, (var_before, var_after) = _moments(before, after)
    df = n_before + n_after - 2
    pooled = ((n_before - 1) * var_before + (n_after - 1) * var_after) / df
    if pooled <= _rounding(before, after):
        return undefined("student_t", estimate=estimate, n=df + 2, note=_NO_SPREAD, alpha=alpha)
    assumptions = (
        "all values are independent of one another",
        "the means are near normal",
        "both samples have the same variance",
    )
    return over_error(
        "student_t",
        estimate,
        math.sqrt(pooled * (1 / n_before + 1 / n_after)),
        df,
        alpha=alpha,
        alternative=direction(alternative),
        effect_sizes={"cohens_d": estimate / math.sqrt(pooled)},
        n=df + 2,
        assumptions=assumptions,
        notes=notes + _on_binary(before, after),
    )


def welch_t(
    control: ArrayLike, treatment: ArrayLike, *, alternative: str = "two-sided", alpha: float = 0.05
) -> TestResult:
    """Welch's t-test of two independent samples (Welch 1947), degrees of freedom by Satterthwaite.

    control, treatment: shape [n], NaN left out and noted. `cohens_d` is over the root of the mean of both variances.
    Raises StatsError with fewer than two values in either.
    """
    before, after, notes = two_samples(control, treatment)
    estimate, variances = _moments(before, after)
    shares = [variance / len(values) for variance, values in zip(variances, (before, after), strict=True)]
    n, squared = len(before) + len(after), sum(shares)
    if max(variances) <= _rounding(before, after):
        return undefined("welch_t", estimate=estimate, n=n, note=_NO_SPREAD, alpha=alpha)
    df = squared**2 / (shares[0] ** 2 / (len(before) - 1) + shares[1] ** 2 / (len(after) - 1))
    return over_error(
        "welch_t",
        estimate,
        math.sqrt(squared),
        df,
        alpha=alpha,
        alternative=direction(alternative),
        effect_sizes={"cohens_d": estimate / math.sqrt(sum(variances) / 2)},
        n=n,
        assumptions=("all values are independent of one another", "the means are near normal"),
        notes=notes + _on_binary(before, after),
    )


def two_proportion_z(
    control: ArrayLike, treatment: ArrayLike, *, alternative: str = "two-sided", alpha: float = 0.05
) -> TestResult:
    """The z-test of two independent proportions with pooled variance and no continuity correction.

    Its square is Pearson's chi-square of the 2 x 2 table. The interval is its dual, Mee's score interval (Mee 1984,
    Biometrics 40; Miettinen and Nurminen 1985 without their factor). control, treatment: 0 or 1, shape [n]. Raises
    StatsError on other values or none.
    """
    before, after, notes = two_samples(control, treatment, least=1)
    if not is_binary(before, after):
        raise StatsError(
            "two_proportion_z is for outcomes of 0 and 1; for others take welch_t or mann_whitney"
        )
    x, m, y, n = (int(number) for number in (before.sum(), len(before), after.sum(), len(after)))
    statistic = _score_z(x, m, y, n, 0.0)
    low, high = _score_interval(x, m, y, n, alpha)
    odds = {"odds_ratio": y * (m - x) / (x * (n - y))} if x and n - y else {}
    smallest = min((x + y) * min(m, n), (m + n - x - y) * min(m, n)) / (m + n)
    few = (
        (f"an expected count is {smallest:.2g}: fisher_exact holds its level there",) if smallest < 5 else ()
    )
    return TestResult(
        test="two_proportion_z",
        statistic=statistic,
        df=None,
        p_value=tail_p(statistic, alternative=direction(alternative)),
        estimate=y / n - x / m,
        ci_low=low,
        ci_high=high,
        effect_sizes={"cohens_h": 2 * math.asin(math.sqrt(y / n)) - 2 * math.asin(math.sqrt(x / m)), **odds},
        n=m + n,
        assumptions=("all values are independent of one another",),
        notes=notes + few,
        alpha=alpha,
        alternative=direction(alternative),
    )


def _moments(before: Floats, after: Floats) -> tuple[float, list[float]]:
    """The difference of the means, and both variances."""
    means = [exact_sum(values) / len(values) for values in (before, after)]
    variances = [
        exact_sum((values - mean) ** 2) / (len(values) - 1)
        for values, mean in zip((before, after), means, strict=True)
    ]
    return means[1] - means[0], variances


def _rounding(before: Floats, after: Floats) -> float:
    """A variance that rounding alone leaves where all values of a sample are alike."""
    return float(1e-14 * max(np.abs(before).max(), np.abs(after).max())) ** 2


def _on_binary(before: Floats, after: Floats) -> tuple[str, ...]:
    return (
        (BINARY.format("two_proportion_z (mcnemar where the items are the same)"),)
        if is_binary(before, after)
        else ()
    )


def _score_z(x: int, m: int, y: int, n: int, delta: float) -> float:
    """The score statistic of p2 - p1 = delta, at the likeliest p1 under it (Farrington and Manning 1990)."""
    p = _restricted(x, m, y, n, delta)
    variance = p * (1 - p) / m + (p + delta) * (1 - p - delta) / n
    gap = y / n - x / m - delta
    if variance <= 1e-300:
        return 0.0 if abs(gap) < 1e-14 else math.copysign(math.inf, gap)
    return gap / math.sqrt(variance)


def _restricted(x: int, m: int, y: int, n: int, delta: float) -> float:
    """The likeliest p1 where p2 = p1 + delta: the middle root of a cubic."""
    if delta == 0.0:
        return (x + y) / (m + n)
    total = m + n
    a = float(total)
    b = (n + 2 * m) * delta - total - x - y
    c = (m * delta - total - 2 * x) * delta + x + y
    d = x * delta * (1 - delta)
    v = (b / (3 * a)) ** 3 - b * c / (6 * a * a) + d / (2 * a)
    u = math.copysign(math.sqrt(max((b / (3 * a)) ** 2 - c / (3 * a), 0.0)), v)
    w = (math.pi + math.acos(min(1.0, max(-1.0, v / u**3 if u else 0.0)))) / 3
    p = 2 * u * math.cos(w) - b / (3 * a)
    return min(max(p, max(0.0, -delta)), min(1.0, 1 - delta))


def _score_interval(x: int, m: int, y: int, n: int, alpha: float) -> Interval:
    from scipy.optimize import brentq

    z, estimate = critical(alpha), y / n - x / m

    def end(side: int) -> float:
        if estimate == side:
            return float(side)
        edge = side * (1 - 1e-12)
        if abs(_score_z(x, m, y, n, edge)) < z:
            return float(side)
        return float(brentq(lambda delta: _score_z(x, m, y, n, delta) + side * z, estimate, edge, xtol=1e-14))

    return Interval(end(-1), end(1))
