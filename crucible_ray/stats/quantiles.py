"""The difference of two quantiles of latency, control from treatment, by an item bootstrap; censored values allowed."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.chunks import Arrays, Chunk, drawn
from crucible_ray.stats.distributions import check_level
from crucible_ray.stats.effect import Effect
from crucible_ray.stats.result import Floats
from crucible_ray.stats.single import items_for_quantile


def quantile_difference(
    control: ArrayLike,
    treatment: ArrayLike,
    q: float = 0.5,
    *,
    paired: bool = False,
    resamples: int = 10_000,
    alpha: float = 0.05,
    seed: int = 0,
) -> Effect:
    """Quantile q of the treatment minus that of the control, with a percentile bootstrap interval over items.

    control, treatment: one value per independent item, +inf where a call timed out (right-censored). Quantiles
    interpolate linearly (type 7). `paired`: both answered the same items, which are drawn together. No interval
    below ln(alpha / 2) / ln(q) items in either (p95: 72, p99: 368), where it would cover far too seldom, nor where
    a limit is censored; the notes say so. Raises StatsError on NaN, q outside (0, 1), unequal lengths of pairs, or
    a quantile that is itself censored.
    """
    check_level(alpha)
    before, after = _values(control, "control"), _values(treatment, "treatment")
    if not 0 < q < 1:
        raise StatsError(f"q is {q}; a quantile lies between 0 and 1")
    if paired and len(before) != len(after):
        raise StatsError(f"pairs need one length; here there are {len(before)} and {len(after)} values")
    at = [float(_quantile(np.sort(values)[None, :], q)[0]) for values in (before, after)]
    if not all(map(math.isfinite, at)):
        raise StatsError(f"quantile {q} is beyond the timeout in one of the two: only a lower bound is known")
    low = high = None
    needed, fewest = items_for_quantile(q, alpha=alpha), min(len(before), len(after))
    notes: tuple[str, ...] = (f"{fewest} items; an interval for quantile {q} needs {needed}: descriptive",)
    if fewest >= needed:
        if paired:
            draws = drawn(
                partial(_together, q), (before, after), resamples=resamples, width=len(before), seed=seed
            )
        else:
            rng = np.random.default_rng(seed)
            draws = _difference(*(_quantile_draws(values, q, rng, resamples) for values in (before, after)))
        low, high, notes = _percentiles(draws, alpha)
    return Effect(
        measure="quantile_difference",
        value=at[1] - at[0],
        ci_low=low,
        ci_high=high,
        method=f"quantile {q:g} (type 7); percentile bootstrap of {'pairs' if paired else 'items'}",
        n=len(before) if paired else len(before) + len(after),
        alpha=alpha,
        notes=notes,
    )


def _values(values: ArrayLike, name: str) -> Floats:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or len(found) < 2 or np.isnan(found).any() or (found == -np.inf).any():
        raise StatsError(f"{name} must be two numbers or more, without NaN, in one flat sequence")
    return found


def _quantile(ordered_BN: Floats, q: float) -> Floats:
    """Type 7 along sorted rows; infinity where the upper of the two neighbours is, and counts."""
    position = q * (ordered_BN.shape[1] - 1)
    rank = math.floor(position)
    return between(
        ordered_BN[:, rank], ordered_BN[:, min(rank + 1, ordered_BN.shape[1] - 1)], position - rank
    )


def between(low: Floats, high: Floats, share: Floats | float) -> Floats:
    """Linear interpolation that knows infinity: it is reached as soon as the upper neighbour counts."""
    with np.errstate(invalid="ignore"):
        mixed = np.where(np.isinf(high), np.inf, low + share * (high - low))
    return np.where(np.greater(share, 0), mixed, low)


def _quantile_draws(values: Floats, q: float, rng: np.random.Generator, resamples: int) -> Floats:
    """Quantiles of resamples without making any: their order statistics have beta-distributed ranks."""
    n, ordered = len(values), np.sort(values)
    position = q * (n - 1)
    rank = math.floor(position)
    # The order statistics rank + 1 and rank + 2 of n uniforms, the second given the first.
    first = rng.beta(rank + 1, n - rank, size=resamples)
    second = 1 - (1 - first) * rng.beta(n - rank - 1, 1, size=resamples) if rank + 1 < n else first
    picked = [ordered[np.minimum((u * n).astype(np.int64), n - 1)] for u in (first, second)]
    return between(picked[0], picked[1], position - rank)


def _together(q: float, data: Arrays, chunk: Chunk) -> Floats:
    """Differences of quantiles, pairs drawn together."""
    n = len(data[0])
    indices = chunk.rng().integers(0, n, size=(chunk.rows, n))
    return _difference(*(_quantile(np.sort(values[indices], axis=1), q) for values in data))


def _difference(before: Floats, after: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        return after - before


def _percentiles(draws: Floats, alpha: float) -> tuple[float | None, float | None, tuple[str, ...]]:
    """Limits of draws, some infinite; where both quantiles are censored the draw counts for both sides."""
    rank = math.floor(alpha / 2 * (len(draws) - 1))
    low = float(np.sort(np.where(np.isnan(draws), -np.inf, draws))[rank])
    high = float(np.sort(np.where(np.isnan(draws), np.inf, draws))[len(draws) - 1 - rank])
    notes = tuple(
        f"the {side} limit is censored by timeouts"
        for side, limit in (("lower", low), ("upper", high))
        if not math.isfinite(limit)
    )
    return low if math.isfinite(low) else None, high if math.isfinite(high) else None, notes
