"""Standardised differences of means: Cohen's d, Hedges' g, Glass' delta, Cohen's dz; Cohen's h is in `ratios`.

Intervals invert the noncentral t distribution (Steiger and Fouladi 1997; Cumming and Finch 2001), which is exact
for normal values; with d as the one of R's `effectsize`.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.effect import COHEN, Effect, magnitude
from crucible_ray.stats.inputs import BINARY, is_binary, pairs, two_samples
from crucible_ray.stats.noncentral import t_noncentrality
from crucible_ray.stats.result import Floats
from crucible_ray.stats.sums import exact_sum


def cohens_d(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Effect:
    """Cohen's d: the difference of means over the pooled standard deviation (n - 1 in each).

    Interval: noncentral t with n1 + n2 - 2 degrees of freedom. Raises StatsError with fewer than two values in a
    sample, or no spread; NaN is left out and noted.
    """
    before, after, notes = two_samples(control, treatment)
    return _pooled(before, after, ("cohens_d", 1.0), alpha, notes)


def hedges_g(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Effect:
    """Hedges' g: Cohen's d times the exact correction J of its bias (Hedges 1981, eq. 6e), the interval alike."""
    before, after, notes = two_samples(control, treatment)
    return _pooled(before, after, ("hedges_g", _exact_j(len(before) + len(after) - 2)), alpha, notes)


def glass_delta(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Effect:
    """Glass' delta: the difference of means over the control's standard deviation alone.

    Interval: noncentral t with n_control - 1 degrees of freedom and a standard error that lets the variances
    differ (as R's `effectsize::glass_delta`). Raises StatsError as `cohens_d` does.
    """
    before, after, notes = two_samples(control, treatment)
    sd = _spread(before, "control")
    ratio = float(after.var(ddof=1)) / sd**2
    scale = math.sqrt(1 / len(before) + ratio / len(after))
    value = (exact_sum(after) / len(after) - exact_sum(before) / len(before)) / sd
    limits = t_noncentrality(value / scale, len(before) - 1, alpha)
    return Effect(
        measure="glass_delta",
        value=value,
        ci_low=limits.low * scale,
        ci_high=limits.high * scale,
        method="mean difference / SD of control; noncentral t, df = n control - 1",
        n=len(before) + len(after),
        magnitude=magnitude(value, COHEN),
        alpha=alpha,
        notes=notes + _of_shares(before, after),
    )


def cohens_dz(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Effect:
    """Cohen's d_z: the mean paired difference over the standard deviation of the differences.

    It grows with the correlation of the pair, so it does not compare with `cohens_d` (Lakens 2013). Interval:
    noncentral t with n - 1 degrees of freedom. Raises StatsError on unequal lengths, or differences all alike.
    """
    before, after, notes = pairs(control, treatment)
    diff = after - before
    sd, n = _spread(diff, "the paired difference"), len(diff)
    value = exact_sum(diff) / n / sd
    limits = t_noncentrality(value * math.sqrt(n), n - 1, alpha)
    return Effect(
        measure="cohens_dz",
        value=value,
        ci_low=limits.low / math.sqrt(n),
        ci_high=limits.high / math.sqrt(n),
        method="mean difference / SD of differences; noncentral t, df = n - 1",
        n=n,
        magnitude=magnitude(value, COHEN),
        alpha=alpha,
        notes=notes + _of_shares(before, after),
    )


def _of_shares(before: Floats, after: Floats) -> tuple[str, ...]:
    return (BINARY.format("cohens_h"),) if is_binary(before, after) else ()


def _pooled(
    before: Floats, after: Floats, size: tuple[str, float], alpha: float, notes: tuple[str, ...]
) -> Effect:
    measure, factor = size
    df = len(before) + len(after) - 2
    squares = sum(float(part.var(ddof=1)) * (len(part) - 1) for part in (before, after))
    sd = math.sqrt(squares / df)
    means = [math.fsum(part) / len(part) for part in (before, after)]
    if sd <= 1e-14 * max(abs(mean) for mean in means) or sd == 0:
        raise StatsError("neither sample has any spread: a standardised difference is undefined")
    scale = math.sqrt(1 / len(before) + 1 / len(after))
    value = (means[1] - means[0]) / sd
    limits = t_noncentrality(value / scale, df, alpha)
    corrected = "; exact J of Hedges 1981" if measure == "hedges_g" else ""
    return Effect(
        measure=measure,
        value=factor * value,
        ci_low=factor * scale * limits.low,
        ci_high=factor * scale * limits.high,
        method=f"mean difference / pooled SD{corrected}; noncentral t, df = {df}",
        n=len(before) + len(after),
        magnitude=magnitude(factor * value, COHEN),
        alpha=alpha,
        notes=notes + _of_shares(before, after),
    )


def _exact_j(df: int) -> float:
    if df < 2:
        raise StatsError("Hedges' correction needs three values in all")
    return math.exp(math.lgamma(df / 2) - math.lgamma((df - 1) / 2)) / math.sqrt(df / 2)


def _spread(values: Floats, name: str) -> float:
    sd = float(values.std(ddof=1))
    if sd <= 1e-14 * float(np.abs(values).max()):
        raise StatsError(f"{name} has no spread: a standardised difference is undefined")
    return sd
