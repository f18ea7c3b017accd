"""Paired differences: McNemar's test with Tango's interval, t on item differences, adjusted Wald and t."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical, tail_p, two_sided_p
from crucible_ray.stats.inputs import BINARY, as_floats, direction, is_binary, item_means, pairs
from crucible_ray.stats.result import Floats, Interval, TestResult, over_error, undefined
from crucible_ray.stats.sums import exact_sum

Variant = Literal["score", "exact", "mid_p", "corrected"]

_HALVINGS = 64


def mcnemar(
    control: ArrayLike, treatment: ArrayLike, *, variant: Variant = "score", alpha: float = 0.05
) -> TestResult:
    """McNemar's test of two paired 0/1 outcomes, with Tango's interval for the difference.

    control, treatment: 0 or 1, shape [items], paired by position.
    `score` (uncorrected; the exact dual of the interval), `exact` (binomial, conservative), `mid_p`
    (Fagerland, Lydersen and Laake 2013), `corrected` (Edwards' continuity correction). Raises StatsError on
    other values, other shapes, or no pair.
    """
    gains, losses, n = _discordant(control, treatment)
    return mcnemar_counts(gains, losses, n, variant=variant, alpha=alpha)


def mcnemar_counts(
    gains: int, losses: int, n: int, *, variant: Variant = "score", alpha: float = 0.05
) -> TestResult:
    """`mcnemar` from counts of `n` pairs: `gains` where treatment alone is 1, `losses` where control is."""
    discordant = gains + losses
    low, high = tango_limits(gains, losses, n, alpha=alpha)
    root = math.sqrt(discordant)
    if variant == "score":
        statistic = (gains - losses) / root if discordant else 0.0
        p_value = two_sided_p(statistic)
    elif variant == "corrected":
        statistic = (
            math.copysign(max(abs(gains - losses) - 1, 0), gains - losses) / root if discordant else 0.0
        )
        p_value = two_sided_p(statistic)
    elif variant in ("exact", "mid_p"):
        statistic = None
        p_value = _binomial_p(min(gains, losses), discordant, mid=variant == "mid_p")
    else:
        raise StatsError(f"mcnemar has no variant {variant!r}: score, exact, mid_p or corrected")
    return TestResult(
        test=f"mcnemar_{variant}",
        statistic=statistic,
        df=None,
        p_value=p_value,
        estimate=(gains - losses) / n,
        ci_low=float(low),
        ci_high=float(high),
        effect_sizes={"odds_ratio": gains / losses} if losses else {},
        n=n,
        assumptions=("pairs are independent of one another",),
        notes=(f"{discordant} of {n} pairs differ: {gains} gained, {losses} lost",),
        alpha=alpha,
    )


def tango(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """Tango's score interval for the difference of two paired proportions, treatment minus control.

    Tango 1998, Statistics in Medicine 17, 891-908. Raises StatsError as `mcnemar` does.
    """
    gains, losses, n = _discordant(control, treatment)
    low, high = tango_limits(gains, losses, n, alpha=alpha)
    return Interval(float(low), float(high))


def tango_limits(
    gains: ArrayLike, losses: ArrayLike, n: ArrayLike, *, alpha: float = 0.05
) -> tuple[Floats, Floats]:
    """Lower and upper limits of Tango's interval for arrays of counts, broadcast together.

    The score statistic falls strictly in the difference tested, so each limit is found by bisection, to the
    last bit.
    """
    gained, lost, pairs = np.broadcast_arrays(
        np.asarray(gains, np.float64), np.asarray(losses, np.float64), np.asarray(n, np.float64)
    )
    z = critical(alpha)
    return _solve(gained, lost, pairs, z), _solve(gained, lost, pairs, -z)


def _solve(gains: Floats, losses: Floats, n: Floats, target: float) -> Floats:
    low, high = np.full(gains.shape, -1.0), np.full(gains.shape, 1.0)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        above = tango_score(gains, losses, n, middle) > target
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    limits: Floats = (low + high) / 2
    return limits


def tango_score(gains: Floats, losses: Floats, n: Floats, delta: Floats) -> Floats:
    """Tango's statistic at a true difference `delta`; q: the share of losses, estimated under it."""
    b = (2 * n - gains + losses) * delta - gains - losses
    c = -losses * delta * (1 - delta)
    root = np.sqrt(np.maximum(b * b - 8 * n * c, 0))
    with np.errstate(divide="ignore", invalid="ignore"):
        # Two forms of one root: each is free of cancellation on its side of b = 0.
        q = np.where(b > 0, -2 * c / (b + root), (root - b) / (4 * n))
        variance = n * (2 * np.maximum(q, np.maximum(-delta, 0)) + delta * (1 - delta))
        return np.where(variance > 0, (gains - losses - n * delta) / np.sqrt(variance), 0.0)


def bonett_price(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """The adjusted Wald interval for two paired proportions (Bonett and Price 2012, JEBS 37)."""
    gains, losses, n = _discordant(control, treatment)
    diff = np.repeat([1.0, -1.0, 0.0], [gains, losses, n - gains - losses])
    result = adjusted_difference(diff, alpha=alpha)
    assert result.ci_low is not None
    assert result.ci_high is not None
    return Interval(result.ci_low, result.ci_high)


def adjusted_difference(diff_I: Floats, *, alpha: float = 0.05) -> TestResult:
    """Adjusted Wald test and interval of a mean paired difference bounded by -1 and 1.

    Two pseudo-items, one at +1 and one at -1, are added; at one repeat of a 0/1 outcome this is Bonett and
    Price's interval. The p-value is its dual. diff_I: one difference per item, shape [items], no NaN.
    """
    return _padded("adjusted_wald", diff_I, 2.0, None, alpha)


def adjusted_t(diff_I: Floats, *, caution: float = 0.0, alpha: float = 0.05) -> TestResult:
    """t on item differences with two pseudo-items, for differences bounded by -1 and 1; its interval is the dual.

    They lie at +c and -c, with 2 c^2 the square of a typical difference, sum of d^4 / sum of d^2. Where few items carry the
    differences (a baseline frozen at temperature 0) plain t is too sure; where many do, the two are as good as
    equal. caution: from 0 to 1, how far c goes on from there to 1, on a logarithmic scale. diff_I: one difference
    per item, shape [items], no NaN, some of them not 0.
    """
    squares = diff_I * diff_I
    sums = np.array([exact_sum(squares), exact_sum(squares * squares), caution])
    return _padded("adjusted_t", diff_I, float(padding(*sums)), len(diff_I) - 1, alpha)


def padding(squares: Floats, fourths: Floats, caution: Floats) -> Floats:
    """What the two pseudo-items of `adjusted_t` add to the sum of squares, from sums of d^2 and d^4 (not 0) and caution."""
    added: Floats = 2.0**caution * (fourths / squares) ** (1.0 - caution)
    return added


def _padded(test: str, diff_I: Floats, added: float, df: int | None, alpha: float) -> TestResult:
    """Mean and interval with two opposite pseudo-items, of `added` squares together; the estimate is without them."""
    n = len(diff_I)
    if n == 0:
        raise StatsError("no item was answered under both conditions")
    total, squares, padded = exact_sum(diff_I), exact_sum(diff_I * diff_I) + added, n + 2
    centre = total / padded
    se = math.sqrt((squares / padded - centre * centre) / padded)
    half = critical(alpha, df) * se
    return TestResult(
        test=test,
        statistic=centre / se,
        df=df,
        p_value=two_sided_p(centre / se, df),
        estimate=total / n,
        ci_low=max(centre - half, -1.0),
        ci_high=min(centre + half, 1.0),
        n=n,
        assumptions=("items are independent of one another", "differences lie between -1 and 1"),
        alpha=alpha,
    )


def paired_t(
    control: ArrayLike, treatment: ArrayLike, *, alternative: str = "two-sided", alpha: float = 0.05
) -> TestResult:
    """Student's t on paired differences, n - 1 degrees of freedom; `cohens_dz` is over their standard deviation.

    control, treatment: shape [items], paired by position, or [items, repeats], of which each item's mean is taken.
    Pairs that lack a value are left out and noted. Raises StatsError on unequal lengths or fewer than two pairs.
    """
    before, after, notes = pairs(control, treatment)
    result = clustered_difference(after - before, alpha=alpha)
    side, p_value = direction(alternative), result.p_value
    if result.statistic is not None:
        p_value = tail_p(result.statistic, result.df, alternative=side)
    if is_binary(before, after):
        notes += (BINARY.format("mcnemar"),)
    return replace(
        result,
        test="paired_t",
        p_value=p_value,
        alternative=side,
        assumptions=("pairs are independent of one another", "the mean difference is near normal"),
        notes=notes + result.notes,
    )


def clustered_difference(diff_IR: ArrayLike, *, alpha: float = 0.05) -> TestResult:
    """Mean paired difference with items as clusters: t on item means (Miller 2024, arXiv 2411.00640).

    diff_IR: treatment minus control, shape [items, repeats] or [items]; NaN where a trial failed. Items
    without any value are left out. Raises StatsError with fewer than two items.
    """
    diff = np.asarray(diff_IR, np.float64)
    diff_I = item_means(diff if diff.ndim == 2 else diff[:, None])
    diff_I = diff_I[~np.isnan(diff_I)]
    n = len(diff_I)
    if n < 2:
        raise StatsError(f"a mean over items needs two items or more; here there are {n}")
    mean = exact_sum(diff_I) / n
    sd = math.sqrt(exact_sum((diff_I - mean) ** 2) / (n - 1))
    # Rounding leaves a spread of the order of one unit in the last place where every item is alike.
    if sd <= 1e-14 * max(abs(mean), float(np.abs(diff_I).max())):
        return _without_spread(mean, n, alpha)
    return over_error(
        "clustered_t",
        mean,
        sd / math.sqrt(n),
        n - 1,
        effect_sizes={"cohens_dz": mean / sd},
        n=n,
        assumptions=("items are independent of one another", "the mean over items is near normal"),
        alpha=alpha,
    )


def _without_spread(mean: float, n: int, alpha: float) -> TestResult:
    note = "every item has the same difference: there is no spread to judge it by"
    return replace(undefined("clustered_t", estimate=mean, n=n, note=note, alpha=alpha), df=n - 1)


def _discordant(control: ArrayLike, treatment: ArrayLike) -> tuple[int, int, int]:
    before, after = as_floats(control, "control"), as_floats(treatment, "treatment")
    if before.shape != after.shape or before.ndim != 1 or before.size == 0:
        raise StatsError(
            f"pairs need two arrays of one length; these have shapes {before.shape} and {after.shape}"
        )
    if not (np.isin(before, (0, 1)).all() and np.isin(after, (0, 1)).all()):
        raise StatsError("McNemar's test and Tango's interval are for outcomes of 0 and 1")
    return int(np.sum(after > before)), int(np.sum(after < before)), before.size


def _binomial_p(smaller: int, discordant: int, *, mid: bool) -> float:
    if discordant == 0:
        return 1.0
    from scipy.stats import binom

    tail = float(binom.cdf(smaller, discordant, 0.5))
    if mid:
        tail -= 0.5 * float(binom.pmf(smaller, discordant, 0.5))
    return min(1.0, 2 * tail)
