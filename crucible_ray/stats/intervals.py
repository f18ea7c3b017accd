"""Intervals in closed form: a mean, a share, the difference of two shares, independent or paired."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical
from crucible_ray.stats.inputs import binary, complete, complete_pairs
from crucible_ray.stats.result import Interval
from crucible_ray.stats.single import wilson
from crucible_ray.stats.sums import exact_sum


def mean_ci(values: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """Student's t interval of a mean, n - 1 degrees of freedom; values: one per independent unit, shape [n].

    Raises StatsError with fewer than two values, NaN, or no spread.
    """
    found = complete(values)
    n = len(found)
    mean = exact_sum(found) / n
    sd = math.sqrt(exact_sum((found - mean) ** 2) / (n - 1))
    if sd <= 1e-14 * float(np.abs(found).max()):
        raise StatsError(
            "all values are alike: there is no spread to take an interval from (for shares: wilson)"
        )
    half = critical(alpha, n - 1) * sd / math.sqrt(n)
    return Interval(mean - half, mean + half)


def clopper_pearson(successes: float, n: int, *, alpha: float = 0.05) -> Interval:
    """The exact interval of a share, from two one-sided binomial tests (Clopper and Pearson 1934): conservative.

    Raises StatsError unless n > 0 and 0 <= successes <= n.
    """
    if n <= 0 or not 0 <= successes <= n:
        raise StatsError(f"{successes} successes in {n} trials are no proportion")
    critical(alpha)
    from scipy.special import betaincinv

    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, alpha / 2))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - alpha / 2))
    return Interval(low, high)


def newcombe(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """The difference of two independent shares, treatment - control: the hybrid score interval.

    Method 10 of Newcombe 1998, Statistics in Medicine 17, 873-890: Wilson's limits of each share, squared and
    added; no continuity correction. control, treatment: 0 or 1, any lengths. Raises StatsError on other values.
    """
    before, after = complete(control, "control", least=1), complete(treatment, "treatment", least=1)
    shares, limits = [], []
    for values in (before, after):
        successes = float(binary(values, "Newcombe's interval").sum())
        shares.append(successes / len(values))
        limits.append(wilson(successes, len(values), alpha=alpha))
    return _square_and_add(shares, limits, 0.0)


def newcombe_paired(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Interval:
    """The difference of two paired shares, treatment - control: squared and added, less their correlation.

    Method 10 of Newcombe 1998, Statistics in Medicine 17, 2635-2650, with his continuity correction of a positive
    phi. Beside the default decision this is a second look: it and McNemar's test may disagree, Tango's interval
    does not. control, treatment: 0 or 1, paired by position. Raises StatsError on other values or lengths.
    """
    before, after = complete_pairs(control, treatment, least=1)
    binary(before, "Newcombe's interval")
    binary(after, "Newcombe's interval")
    n = len(before)
    both, neither = float((before * after).sum()), float(((1 - before) * (1 - after)).sum())
    gains, losses = float((after > before).sum()), float((after < before).sum())
    product = (both + losses) * (both + gains) * (neither + gains) * (neither + losses)
    excess = both * neither - gains * losses
    if excess > 0:
        excess = max(excess - n / 2, 0.0)
    phi = excess / math.sqrt(product) if product else 0.0
    totals = [float(before.sum()), float(after.sum())]
    return _square_and_add(
        [total / n for total in totals], [wilson(total, n, alpha=alpha) for total in totals], phi
    )


def _square_and_add(shares: list[float], limits: list[Interval], phi: float) -> Interval:
    """Newcombe's limits of shares[1] - shares[0], whose errors correlate by phi."""
    down = [share - limit.low for share, limit in zip(shares, limits, strict=True)]
    up = [limit.high - share for share, limit in zip(shares, limits, strict=True)]
    estimate = shares[1] - shares[0]
    low = math.sqrt(max(down[1] ** 2 - 2 * phi * down[1] * up[0] + up[0] ** 2, 0.0))
    high = math.sqrt(max(up[1] ** 2 - 2 * phi * up[1] * down[0] + down[0] ** 2, 0.0))
    return Interval(max(estimate - low, -1.0), min(estimate + high, 1.0))
