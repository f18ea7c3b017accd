"""Two quantiles of shared items compared: repeats and clusters count as what they are, timeouts as slower than any answer."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crucible_ray.errors import StatsError
from crucible_ray.stats.comparing import Comparison
from crucible_ray.stats.draws import Draws
from crucible_ray.stats.inputs import two_items
from crucible_ray.stats.quantiles import between
from crucible_ray.stats.result import Floats
from crucible_ray.stats.single import items_for_quantile, quantile

RESAMPLES = 10_000
_MOST_DRAWN = 20_000_000
"""Values that are resampled one by one; above it ranks are drawn from their joint distribution."""
_CHUNK = 2_000_000
Tables = tuple[Floats, Floats]


def compare_quantiles(
    control_IR: Floats,
    treatment_IR: Floats,
    q: float,
    *,
    clusters: ArrayLike | None = None,
    margin: float = 0.0,
    resamples: int = RESAMPLES,
    seed: int = 0,
    alpha: float = 0.05,
) -> Comparison:
    """Quantile q of the treatment's values minus that of the control's, on the same items, by an item bootstrap.

    control_IR, treatment_IR: shape [items, repeats], NaN where missing, +inf where timed out (right-censored). Items are
    drawn with all their repeats under both conditions, or clusters with all their items; quantiles are of type 7; the
    interval is that of percentiles and p its dual, against a difference of `margin`. Above 20 million drawn values the
    ranks of both quantiles are drawn from their joint distribution instead (Woodruff 1952, JASA 47, with the binomial's
    skewness), which is the same in the limit. Where there are fewer than ln(alpha / 2) / ln(q) independent items (p95:
    72, p99: 368) the comparison only describes. Raises StatsError with fewer than two shared items, or where a
    quantile lies beyond the timeout.
    """
    shared = ~np.isnan(control_IR).all(axis=1) & ~np.isnan(treatment_IR).all(axis=1)
    tables: Tables = (control_IR[shared], treatment_IR[shared])
    items = int(shared.sum())
    two_items(items)
    at = [quantile(table, q)[0] for table in tables]
    if at[0] is None or at[1] is None:
        raise StatsError(
            f"quantile {q:g} is beyond the timeout in one of the two: only a lower bound is known"
        )
    units = codes_of(None, items) if clusters is None else codes_of(np.asarray(clusters)[shared], items)
    n = int(units.max()) + 1
    of = "items" if clusters is None else "clusters"
    needed, least = items_for_quantile(q, alpha=alpha), min(1.0, 2 * max(q, 1 - q) ** n)
    low, high, p_value = -math.inf, math.inf, None
    notes: tuple[str, ...] = (f"descriptive: {n} {of}, and an interval for quantile {q:g} needs {needed}",)
    if n >= needed:
        one_by_one = resamples * tables[0].size <= _MOST_DRAWN
        drawn = (_resampled if one_by_one else _by_ranks)(tables, units, q, resamples, seed)
        draws = Draws.of_bootstrap(drawn)
        (low, high), p_value = draws.interval(alpha), max(draws.p_against(margin), least)
        notes = (*_censored(low, high), f"{resamples:,} draws, seed {seed}")
    why = f"paired, {items} items" + ("" if clusters is None else f" in {n} clusters, which are the unit")
    return Comparison(
        test="quantile_bootstrap",
        statistic=None,
        df=None,
        p_value=p_value,
        estimate=at[1] - at[0],
        ci_low=low if math.isfinite(low) else None,
        ci_high=high if math.isfinite(high) else None,
        n=n,
        assumptions=(f"{of} are independent of one another",),
        notes=notes,
        alpha=alpha,
        reason=f"{why}: a quantile is no mean, so {of} are drawn anew with all that belongs to them (bootstrap)",
        naive=None,
        least_level=least,
    )


def codes_of(labels: ArrayLike | None, items: int) -> NDArray[np.int64]:
    """The unit of each item as a number from 0: its cluster, or itself."""
    if labels is None:
        return np.arange(items)
    return np.unique(np.asarray(labels), return_inverse=True)[1].astype(np.int64)


def weights(units: int, rows: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """How often each unit is in each of `rows` resamples, shape [rows, units]."""
    drawn = rng.integers(0, units, (rows, units)) + units * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)


def _resampled(tables: Tables, units: NDArray[np.int64], q: float, resamples: int, seed: int) -> Floats:
    """Differences of quantiles over resamples of units."""
    n, rng = int(units.max()) + 1, np.random.default_rng(seed)
    ordered = [_ordered(table, units) for table in tables]
    step = max(1, _CHUNK // max(len(values) for values, _ in ordered))
    parts = []
    for start in range(0, resamples, step):
        times = weights(n, min(step, resamples - start), rng)
        at = [_weighted(values, times[:, unit], q) for values, unit in ordered]
        with np.errstate(invalid="ignore"):
            parts.append(at[1] - at[0])
    return np.concatenate(parts)


def _ordered(table: Floats, units: NDArray[np.int64]) -> tuple[Floats, NDArray[np.int64]]:
    """The values that are there in rising order, and the unit of each."""
    row, column = np.nonzero(~np.isnan(table))
    values = table[row, column]
    order = np.argsort(values, kind="stable")
    return values[order], units[row[order]]


def _weighted(values: Floats, times: NDArray[np.int64], q: float) -> Floats:
    """Quantile q (type 7) of values of which each is there so many times, by row of `times`."""
    passed = np.cumsum(times, axis=1)
    last = passed[:, -1] - 1
    position = q * last
    rank = np.floor(position).astype(np.int64)
    places = [(passed <= each[:, None]).sum(axis=1) for each in (rank, np.minimum(rank + 1, last))]
    return between(values[places[0]], values[places[1]], position - rank)


def _by_ranks(tables: Tables, units: NDArray[np.int64], q: float, resamples: int, seed: int) -> Floats:
    """Differences of the values at ranks that are drawn together for both tables."""
    from scipy.special import betaincinv, ndtr

    n, rng = int(units.max()) + 1, np.random.default_rng(seed)
    values = [_ordered(table, units) for table in tables]
    off = np.stack(
        [
            np.bincount(unit, (each <= _at(each, np.array([q]))[0]) - q, minlength=n) / len(each)
            for each, unit in values
        ]
    )
    covariance = off @ off.T * n / (n - 1)
    spread = np.sqrt(np.diag(covariance))
    tied = covariance[0, 1] / (spread[0] * spread[1]) if spread.all() else 0.0
    z = rng.standard_normal((2, resamples))
    z[1] = tied * z[0] + math.sqrt(max(0.0, 1 - tied**2)) * z[1]
    at = []
    for (each, _), sd, normal in zip(values, spread, z, strict=True):
        size = q * (1 - q) / sd**2 if sd > 0 else math.inf
        shares = (
            np.full(resamples, q) if math.isinf(size) else betaincinv(size * q, size * (1 - q), ndtr(normal))
        )
        at.append(_at(each, shares))
    with np.errstate(invalid="ignore"):
        return np.asarray(at[1] - at[0], np.float64)


def _at(ordered: Floats, shares: Floats) -> Floats:
    """The values at these shares of the whole (type 7)."""
    position = shares * (len(ordered) - 1)
    rank = np.floor(position).astype(np.int64)
    return between(ordered[rank], ordered[np.minimum(rank + 1, len(ordered) - 1)], position - rank)


def _censored(low: float, high: float) -> tuple[str, ...]:
    return tuple(
        f"the {side} limit is beyond the timeout: not known"
        for side, limit in (("lower", low), ("upper", high))
        if not math.isfinite(limit)
    )
