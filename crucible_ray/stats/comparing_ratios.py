"""Two ratios of totals over shared items compared: dollars per correct answer, never a mean of per-item ratios."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crucible_ray.stats.bootstrap import resampled_sums
from crucible_ray.stats.comparing import Comparison
from crucible_ray.stats.comparing_quantiles import RESAMPLES, codes_of
from crucible_ray.stats.distributions import two_sided_p
from crucible_ray.stats.draws import Draws
from crucible_ray.stats.effect import Effect
from crucible_ray.stats.inputs import two_items
from crucible_ray.stats.ratios import ratio_ci
from crucible_ray.stats.result import Floats

_MANY = 100_000
"""Units from which sums over resamples are drawn from their joint normal limit, unless they are skewed."""
_SKEWNESS = 0.02


def ratio_of(
    above_IR: Floats, below_IR: Floats, *, clusters: ArrayLike | None = None, alpha: float = 0.05
) -> Effect:
    """The total above over the total below, of the trials that have both, with Fieller's interval over items or clusters.

    above_IR, below_IR: shape [items, repeats], NaN where missing. Raises StatsError with fewer than two units, or where
    nothing is below the line.
    """
    sums, _ = _sums((above_IR, below_IR), clusters)
    return ratio_ci(sums[0], sums[1], alpha=alpha)


def compare_ratios(
    control: tuple[Floats, Floats],
    treatment: tuple[Floats, Floats],
    *,
    clusters: ArrayLike | None = None,
    margin: float = 0.0,
    resamples: int = RESAMPLES,
    seed: int = 0,
    alpha: float = 0.05,
) -> Comparison:
    """The treatment's ratio of totals minus the control's, on the same items, by an item bootstrap.

    control, treatment: what is above and below the line, each of shape [items, repeats], NaN where missing. Items are
    drawn with all their repeats under both conditions, or clusters with all their items; the interval is that of
    percentiles, p its dual against a difference of `margin`. Sums over 100,000 units or more are drawn from their joint normal
    limit, unless they are skewed. Not estimable, so undecided, where Fieller's interval of
    either ratio is unbounded. Raises StatsError with fewer than two shared items, or where nothing is below a line.
    """
    shared = _there(*control) & _there(*treatment)
    items = int(shared.sum())
    two_items(items)
    labels = None if clusters is None else np.asarray(clusters)[shared]
    sides = [(above[shared], below[shared]) for above, below in (control, treatment)]
    singles = [ratio_of(*side, clusters=labels, alpha=alpha) for side in sides]
    totals = [_sums(side, labels)[0] for side in sides]
    n, least = len(totals[0][0]), max(_least_level(below) for _, below in totals)
    low, high, p_value = -math.inf, math.inf, None
    notes: tuple[str, ...] = ("not estimable: the interval of what is below the line holds 0",)
    if all(each.ci_low is not None for each in singles):
        draws = Draws.of_bootstrap(_resampled(sides, labels, resamples, seed))
        (low, high), p_value = draws.interval(alpha), max(draws.p_against(margin), least)
        notes = (f"{resamples:,} draws, seed {seed}",)
    of = "items" if clusters is None else "clusters"
    why = f"paired, {items} items" + ("" if clusters is None else f" in {n} clusters, which are the unit")
    return Comparison(
        test="ratio_bootstrap",
        statistic=None,
        df=None,
        p_value=p_value,
        estimate=singles[1].value - singles[0].value,
        ci_low=low if math.isfinite(low) else None,
        ci_high=high if math.isfinite(high) else None,
        n=n,
        assumptions=(f"{of} are independent of one another",),
        notes=notes,
        alpha=alpha,
        reason=f"{why}: a ratio of totals, so {of} are drawn anew with all that belongs to them (bootstrap)",
        naive=None,
        least_level=least,
    )


def _least_level(below: Floats) -> float:
    """The level from which on the interval of what is below the line leaves 0 out; shape [units]."""
    error = float(below.std(ddof=1)) / math.sqrt(len(below))
    return two_sided_p(float(below.mean()) / error, len(below) - 1) if error > 0 else 0.0


def _there(above: Floats, below: Floats) -> NDArray[np.bool_]:
    return np.asarray((~np.isnan(above) & ~np.isnan(below)).any(axis=1), np.bool_)


def _sums(side: tuple[Floats, Floats], clusters: ArrayLike | None) -> tuple[Floats, NDArray[np.int64]]:
    """Both totals by unit, shape [2, units]; and the unit of each item that has any."""
    both = ~np.isnan(side[0]) & ~np.isnan(side[1])
    kept = both.any(axis=1)
    units = codes_of(None if clusters is None else np.asarray(clusters)[kept], int(kept.sum()))
    sums = [np.where(both, part, 0.0).sum(axis=1)[kept] for part in side]
    return np.stack([np.bincount(units, each) for each in sums]), units


def _resampled(
    sides: list[tuple[Floats, Floats]], clusters: ArrayLike | None, resamples: int, seed: int
) -> Floats:
    """Differences of ratios over resamples of units; infinite where a resample has nothing below a line."""
    totals = np.concatenate([_sums(side, clusters)[0] for side in sides])
    return _drawn(totals.tobytes(), resamples, seed)


# A family asks for the same draws at every level that it tries.
@lru_cache(maxsize=8)
def _drawn(totals: bytes, resamples: int, seed: int) -> Floats:
    rows_NC = np.frombuffer(totals).reshape(4, -1).T
    many = len(rows_NC) >= _MANY and _near_normal(rows_NC)
    sums = (_normal_sums if many else resampled_sums)(rows_NC, seed, resamples)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(sums[:, 2] / sums[:, 3] - sums[:, 0] / sums[:, 1], np.float64)


def _near_normal(rows_NC: Floats) -> bool:
    """Whether the skewness of every sum over resamples is below what 10,000 resamples could show."""
    away = rows_NC - rows_NC.mean(axis=0)
    spread = np.sqrt((away**2).mean(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        skewness = np.abs((away**3).mean(axis=0)) / spread**3 / math.sqrt(len(rows_NC))
    return bool((np.where(spread > 0, skewness, 0.0) < _SKEWNESS).all())


def _normal_sums(rows_NC: Floats, seed: int, resamples: int) -> Floats:
    """`resampled_sums` in the limit of many rows: jointly normal."""
    n = len(rows_NC)
    spread = n * np.cov(rows_NC.T, bias=True)
    rng = np.random.default_rng(seed)
    return rng.multivariate_normal(rows_NC.sum(axis=0), spread, resamples, method="eigh")
