"""A mean paired difference over fixed strata (datasets, subjects), each with a share of the items that does not vary."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import chi_square_p
from crucible_ray.stats.result import Floats, TestResult, format_p, over_error, undefined

Labels = NDArray[np.int64]


def stratified_difference(
    diff_I: Floats, strata_I: Labels, *, macro: bool = False, alpha: float = 0.05
) -> TestResult:
    """The mean of differences within strata, weighted by their shares of the items, with a stratified variance.

    The estimate is the mean over all items; `macro` weights all strata alike instead, whatever their size. Its variance
    is the sum over strata of weight^2 s^2/n, so that what lies between strata does not count; t has Satterthwaite's
    degrees of freedom (Cochran 1977, Sampling Techniques, 5.4). Whether the strata differ is told by Cochran's Q.
    diff_I, strata_I: one difference and one label per item, shape [items], no NaN. Raises StatsError where a stratum has
    fewer than two items.
    """
    parts = [diff_I[strata_I == label] for label in np.unique(strata_I)]
    if any(len(part) < 2 for part in parts):
        raise StatsError("a stratified difference needs two items or more in each stratum")
    n, name = len(diff_I), "macro_average" if macro else "stratified_t"
    means = [math.fsum(part) / len(part) for part in parts]
    squares = [
        math.fsum((part - mean) ** 2) / (len(part) - 1) for part, mean in zip(parts, means, strict=True)
    ]
    weights = [1 / len(parts) if macro else len(part) / n for part in parts]
    estimate = math.fsum(weight * mean for weight, mean in zip(weights, means, strict=True))
    terms = [w**2 * square / len(part) for w, part, square in zip(weights, parts, squares, strict=True)]
    variance = math.fsum(terms)
    assumptions = (
        "items are independent of one another",
        "strata are fixed, all of one weight"
        if macro
        else "strata are fixed, as are their shares of the items",
    )
    # Rounding leaves a spread of the order of one unit in the last place where every item of a stratum is alike.
    if math.sqrt(max(squares)) <= 1e-14 * float(np.abs(diff_I).max()) or variance == 0.0:
        note = "every item of a stratum has the same difference: nothing to estimate a spread from"
        result = undefined(name, estimate=estimate, n=n, note=note, alpha=alpha)
        return replace(result, assumptions=assumptions)
    shares = [term / variance for term in terms]
    df = 1 / math.fsum(share**2 / (len(part) - 1) for share, part in zip(shares, parts, strict=True))
    return over_error(
        name,
        estimate,
        math.sqrt(variance),
        df,
        n=n,
        assumptions=assumptions,
        notes=_heterogeneity(means, [s / len(part) for s, part in zip(squares, parts, strict=True)]),
        alpha=alpha,
    )


def _heterogeneity(means: list[float], variances: list[float]) -> tuple[str, ...]:
    """Cochran's Q in words; nothing where a stratum has no spread to speak of, which leaves Q undefined."""
    if len(means) < 2 or min(variances) <= 1e-20 * max(variances):
        return ()
    weights = [1 / variance for variance in variances]
    centre = math.fsum(w * mean for w, mean in zip(weights, means, strict=True)) / math.fsum(weights)
    q = math.fsum(w * (mean - centre) ** 2 for w, mean in zip(weights, means, strict=True))
    p_value = chi_square_p(q, len(means) - 1)
    return (f"differences between strata: Cochran's Q({len(means) - 1}) = {q:.2f}, {format_p(p_value)}",)
