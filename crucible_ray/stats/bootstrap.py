"""Bootstrap intervals of a statistic over independent values, or over clusters: vectorised, in bounded memory.

Values that take few distinct forms (0/1 scores, thirds over three repeats, clusters of a few kinds) are resampled
by how often each form is drawn, one multinomial a resample: the same distribution as drawing indices, at a cost
that does not grow with n. The rest is drawn by indices, in `chunks`. A seed gives the same limits anew.

With few values these intervals are too short (inference in small samples: `wilson`, `tango`, `mean_ci`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crucible_ray.errors import StatsError
from crucible_ray.stats.chunks import Arrays, Chunk, drawn
from crucible_ray.stats.distributions import critical, normal_cdf, normal_quantile
from crucible_ray.stats.inputs import complete
from crucible_ray.stats.result import Floats, Interval

Method = Literal["percentile", "basic", "bca"]
Statistic = Callable[..., Any]

_CHUNK = 100_000
"""Indices at a time: they and the values that they pick stay in the processor's cache."""
_FORMS = 256
"""Up to so many distinct forms resampling goes by their counts."""


def bootstrap_ci(
    values: ArrayLike,
    statistic: Literal["mean", "median"] | Statistic = "mean",
    *,
    method: Method = "bca",
    resamples: int = 10_000,
    alpha: float = 0.05,
    seed: int = 0,
) -> Interval:
    """A bootstrap interval of a statistic of independent values (Efron and Tibshirani 1993, chapters 13 and 14).

    values: shape [n]. statistic: `mean`, `median`, or a function that reduces the axis it is given as `axis=`, as
    numpy's do. `percentile`, `basic` (reflected), or `bca`, whose acceleration is the jackknife's and whose bias
    counts ties by half, as scipy has it. Raises StatsError with fewer than two values, NaN, values all alike, or
    where every resample lies on one side of the estimate.
    """
    found = complete(values, "values")
    _ask(method, resamples, alpha)
    if found.min() == found.max():
        raise StatsError("all values are alike: a bootstrap has nothing to vary (for shares: wilson)")
    if statistic == "mean":
        means = resampled_sums(found[:, None], seed, resamples)[:, 0] / len(found)
        return _limits(means, lambda: math.fsum(found) / len(found), method, alpha, lambda: _skew(found))
    reduce = np.median if statistic == "median" else statistic
    if not callable(reduce):
        raise StatsError(f"no statistic {statistic!r}: mean, median, or a function with an axis")
    values_R = drawn(partial(_reduced, reduce), (found,), resamples=resamples, width=len(found), seed=seed)
    return _limits(
        values_R, lambda: float(reduce(found, axis=-1)), method, alpha, lambda: _jackknife(found, reduce)
    )


def cluster_bootstrap_ci(
    values: ArrayLike,
    clusters: ArrayLike,
    *,
    method: Method = "percentile",
    resamples: int = 10_000,
    alpha: float = 0.05,
    seed: int = 0,
) -> Interval:
    """A bootstrap interval of the mean over all values, where whole clusters (items, passages) are drawn.

    values, clusters: one value and the label of its cluster, shape [n]; clusters may differ in size, and the mean
    is a ratio of totals (Cameron, Gelbach and Miller 2008, REStat 90; Davison and Hinkley 1997, 3.8). Methods as
    `bootstrap_ci`, with the jackknife over clusters. Raises StatsError with fewer than two clusters, NaN, unequal
    lengths, or clusters all alike.
    """
    found = complete(values, "values")
    _ask(method, resamples, alpha)
    labels = np.asarray(clusters)
    if labels.shape != found.shape:
        raise StatsError(f"each value needs its cluster: {len(found)} values, labels of shape {labels.shape}")
    kinds, inverse = np.unique(labels, return_inverse=True)
    if len(kinds) < 2:
        raise StatsError("a cluster bootstrap needs two clusters or more")
    totals_K2 = np.column_stack(
        [np.bincount(inverse, weights=found), np.bincount(inverse).astype(np.float64)]
    )
    estimate = math.fsum(found) / len(found)
    influence = totals_K2[:, 0] - estimate * totals_K2[:, 1]
    if not np.abs(influence).max() > 1e-14 * np.abs(totals_K2[:, 0]).max():
        raise StatsError("all clusters have the same mean: a bootstrap has nothing to vary")
    sums = resampled_sums(totals_K2, seed, resamples)
    return _limits(sums[:, 0] / sums[:, 1], lambda: estimate, method, alpha, lambda: _ratio_skew(totals_K2))


def _ask(method: str, resamples: int, alpha: float) -> None:
    critical(alpha)
    if method not in ("percentile", "basic", "bca"):
        raise StatsError(f"no bootstrap {method!r}: percentile, basic or bca")
    if resamples < 100:
        raise StatsError(f"{resamples} resamples say nothing about tails; take 1,000 or more")


def resampled_sums(rows_NC: Floats, seed: int, resamples: int) -> Floats:
    """Sums of each column over `resamples` draws of n rows with replacement, shape [resamples, columns]."""
    n = len(rows_NC)
    forms_FC, counts = _forms(rows_NC)
    if forms_FC is not None:
        return np.random.default_rng(seed).multinomial(n, counts / n, size=resamples) @ forms_FC
    sums = np.tile(n * rows_NC[0], (resamples, 1))
    varying = np.flatnonzero(np.ptp(rows_NC, axis=0))  # clusters of one size have one sum of sizes
    if not len(varying):
        return sums
    columns = tuple(np.ascontiguousarray(rows_NC[:, k]) for k in varying)
    # A column costs about as much to pick and sum as an index to draw.
    width = n * (1 + len(columns)) // 2
    sums[:, varying] = drawn(_summed, columns, resamples=resamples, width=width, seed=seed)
    return sums


def _summed(columns: Arrays, chunk: Chunk) -> Floats:
    sums = np.empty((chunk.rows, len(columns)))
    for start, indices in _indices(len(columns[0]), chunk):
        for number, column in enumerate(columns):
            # The indices are in range, so that clipping only spares the check.
            np.take(column, indices, mode="clip").sum(axis=1, out=sums[start : start + len(indices), number])
    return sums


def _forms(rows_NC: Floats) -> tuple[Floats | None, NDArray[np.int64]]:
    """Distinct rows and how often each stands there; None where counting them would not pay."""
    n = len(rows_NC)
    if n > 4 * _FORMS and len(np.unique(rows_NC[: 2 * _FORMS], axis=0)) > _FORMS:
        return None, np.empty(0, np.int64)
    forms, counts = (
        np.unique(rows_NC[:, 0], return_counts=True)
        if rows_NC.shape[1] == 1
        else np.unique(rows_NC, axis=0, return_counts=True)
    )
    if len(forms) > _FORMS or 4 * len(forms) > n:
        return None, np.empty(0, np.int64)
    return forms.reshape(len(forms), -1), counts


def _indices(n: int, chunk: Chunk) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """(first resample, indices of shape [some, n]), a cache's worth at a time."""
    rng, size = chunk.rng(), max(1, _CHUNK // n)
    for start in range(0, chunk.rows, size):
        yield start, rng.integers(0, n, size=(min(size, chunk.rows - start), n))


def _reduced(reduce: Statistic, data: Arrays, chunk: Chunk) -> Floats:
    parts = [
        np.asarray(reduce(np.take(data[0], indices, mode="clip"), axis=-1), np.float64)
        for _, indices in _indices(len(data[0]), chunk)
    ]
    return np.concatenate(parts)


def _limits(
    draws: Floats,
    estimate: Callable[[], float],
    method: str,
    alpha: float,
    skew: Callable[[], float],
) -> Interval:
    """Limits from draws; what not every method needs is asked for where it does."""
    if not np.isfinite(draws).all():
        raise StatsError("the statistic is undefined on some resamples")
    if method == "bca":
        levels = _corrected(draws, estimate(), alpha, skew())
    else:
        levels = (alpha / 2, 1 - alpha / 2)
    low, high = (float(limit) for limit in np.quantile(draws, levels))
    if method == "basic":
        low, high = 2 * estimate() - high, 2 * estimate() - low
    return Interval(low, high)


def _corrected(draws: Floats, estimate: float, alpha: float, skew: float) -> tuple[float, float]:
    """Levels of the BCa interval (Efron 1987, JASA 82, eq. 2.3 and 6.6)."""
    share = (np.count_nonzero(draws < estimate) + np.count_nonzero(draws <= estimate)) / (2 * len(draws))
    if not 0 < share < 1:
        raise StatsError("every resample lies on one side of the estimate: BCa is undefined; use percentile")
    bias, z = normal_quantile(share), critical(alpha)
    low, high = (normal_cdf(bias + (bias + side) / (1 - skew * (bias + side))) for side in (-z, z))
    return low, high


def _skew(values: Floats) -> float:
    """The acceleration of a mean, in closed form: that of the jackknife."""
    away = values - math.fsum(values) / len(values)
    return float((away**3).sum() / (6 * (away**2).sum() ** 1.5))


def _ratio_skew(totals_K2: Floats) -> float:
    """The jackknife's acceleration of a ratio of totals, one cluster left out at a time."""
    top, size = totals_K2.sum(axis=0)
    without = (top - totals_K2[:, 0]) / (size - totals_K2[:, 1])
    away = without.mean() - without
    return float((away**3).sum() / (6 * (away**2).sum() ** 1.5))


def _jackknife(values: Floats, reduce: Statistic) -> float:
    """The acceleration of any statistic, one value left out at a time, in chunks."""
    n = len(values)
    left = np.empty(n)
    size = max(1, _CHUNK // n)
    for start in range(0, n, size):
        rows = np.arange(start, min(start + size, n))
        # Row r is everything but its own value: those after it move up by one.
        columns = np.arange(n - 1) + (np.arange(n - 1) >= rows[:, None])
        left[rows] = reduce(values[columns], axis=-1)
    away = left.mean() - left
    spread = float((away**2).sum())
    return float((away**3).sum() / (6 * spread**1.5)) if spread > 0 else 0.0
