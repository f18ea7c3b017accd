"""One sample: Wilson's interval, means, quantiles."""

from __future__ import annotations

import math

import numpy as np

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical
from crucible_ray.stats.result import Floats, Interval
from crucible_ray.stats.sums import exact_sum


def wilson(successes: float, n: int, *, alpha: float = 0.05) -> Interval:
    """Wilson's score interval for a proportion (Wilson 1927, JASA 22).

    Raises StatsError unless n > 0 and 0 <= successes <= n.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise StatsError(f"{successes} successes in {n} trials are no proportion")
    z = critical(alpha)
    p, shrink = successes / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrink
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrink
    # The limits at 0 and n are exact; rounding would leave them a hair inside.
    return Interval(0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


def clustered_mean(values_IR: Floats, *, alpha: float = 0.05) -> tuple[float, Interval | None]:
    """The mean of all values that are there, and its t interval with items as clusters (None: no spread).

    values_IR: shape [items, repeats], NaN where missing. The mean is a ratio of totals, linearised (Cochran
    1977, section 6.3); with equal repeats this is t on item means. Raises StatsError where no value is there.
    """
    present = ~np.isnan(values_IR)
    counts = present.sum(axis=1)
    total = int(counts.sum())
    if total == 0:
        raise StatsError("no value to take the mean of")
    mean = exact_sum(values_IR[present]) / total
    items = int(np.count_nonzero(counts))
    if items < 2:
        return mean, None
    residuals = np.where(present, values_IR - mean, 0.0).sum(axis=1)
    variance = exact_sum(residuals * residuals) * items / (items - 1) / total**2
    if variance <= (1e-15 * mean) ** 2:
        return mean, None
    half = critical(alpha, items - 1) * math.sqrt(variance)
    return mean, Interval(mean - half, mean + half)


def items_for_quantile(q: float, *, alpha: float = 0.05) -> int:
    """How many independent items an interval for quantile q needs: ln(alpha / 2) / ln(q), or 1 - q if larger.

    With fewer, the largest (or smallest) value lies on the wrong side of the quantile too often to bound it.
    """
    return math.ceil(math.log(alpha / 2) / math.log(max(q, 1 - q)))


def quantile(values_IR: Floats, q: float, *, alpha: float = 0.05) -> tuple[float | None, Interval | None]:
    """Quantile q by linear interpolation, and an interval between order statistics; None: not estimable.

    values_IR: shape [items, repeats], NaN where missing, +inf where right-censored. The interval takes the
    ranks at q plus and minus the error of the share below the quantile: exact binomial at one value an item
    (David and Nagaraja 2003, section 7.1), else from the spread between items (Woodruff 1952, JASA 47).
    """
    present = ~np.isnan(values_IR)
    ordered = np.sort(values_IR[present])
    if not ordered.size:
        return None, None
    value = _interpolate(ordered, q)
    counts = present.sum(axis=1)
    items = int(np.count_nonzero(counts))
    if not math.isfinite(value):
        return None, None
    if items < items_for_quantile(q, alpha=alpha):
        return value, None
    if counts.max() == 1:
        low_rank, high_rank = _binomial_ranks(items, q, alpha)
    else:
        below = np.where(present, (values_IR <= value) - q, 0.0).sum(axis=1)
        half = critical(alpha, items - 1) * math.sqrt(
            exact_sum(below * below) * items / (items - 1) / ordered.size**2
        )
        low_rank = math.floor((q - half) * ordered.size) - 1
        high_rank = math.ceil((q + half) * ordered.size) - 1
    if low_rank < 0 or high_rank >= ordered.size or not math.isfinite(ordered[high_rank]):
        return value, None
    return value, Interval(min(float(ordered[low_rank]), value), max(float(ordered[high_rank]), value))


def _binomial_ranks(n: int, q: float, alpha: float) -> tuple[int, int]:
    """Ranks from 0 between which quantile q lies with probability 1 - alpha or more; -1 or n: no rank."""
    from scipy.special import bdtr

    cumulative = bdtr(np.arange(n), n, q)
    return int(np.searchsorted(cumulative, alpha / 2, side="right")) - 1, int(
        np.searchsorted(cumulative, 1 - alpha / 2)
    )


def _interpolate(ordered: Floats, q: float) -> float:
    position = q * (len(ordered) - 1)
    low = math.floor(position)
    share = position - low
    if share == 0:
        return float(ordered[low])
    return (
        float(ordered[low] + share * (ordered[low + 1] - ordered[low])) if ordered[low] < np.inf else math.inf
    )
