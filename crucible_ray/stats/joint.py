"""Comparisons of a family by the joint distribution of its t statistics: Dunnett's, and the largest t of shared items."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.stats.contrasts import (
    Contrast,
    Names,
    against,
    all_pairs,
    gap,
    labelled,
    paired_up,
    place,
    pooled,
)
from crucible_ray.stats.distributions import check_level, critical, root, two_sided_p
from crucible_ray.stats.families import FamilyResult
from crucible_ray.stats.inputs import blocks, several
from crucible_ray.stats.result import Floats

DRAWS = 100_000


def dunnett(
    *groups: ArrayLike, baseline: int | str = 0, names: Names = None, alpha: float = 0.05
) -> FamilyResult:
    """Each independent group against the baseline, one variance (Dunnett 1955, JASA 50), two-sided.

    The joint distribution is integrated, not simulated (Dunnett 1989, AS 251), so that p is the same each time; the
    intervals are simultaneous and the duals of `p_adjusted`. baseline: a name, or a place from 0.
    """
    values, notes = several(groups)
    n, k = sum(map(len, values)), len(values)
    labels = labelled(names, k)
    base = place(baseline, labels)
    variance, df = pooled(values), n - k
    contrasts = [
        Contrast(a, b, gap(values, a, b), math.sqrt(variance * (1 / len(values[a]) + 1 / len(values[b]))), df)
        for a, b in against(k, base)
    ]
    loads = np.array(
        [math.sqrt(len(values[c.a]) / (len(values[c.a]) + len(values[base]))) for c in contrasts]
    )
    within = _dunnett_within(loads, df)
    least, most = critical(alpha, df) * 0.999, critical(alpha / (k - 1), df) * 1.001
    bound = root(lambda c: within(c) - (1 - alpha), least, most)
    adjusted = [None if c.statistic is None else max(0.0, 1 - within(abs(c.statistic))) for c in contrasts]
    plain = [None if c.statistic is None else two_sided_p(c.statistic, df) for c in contrasts]
    # Where the integral's rounding shows, Bonferroni's bound is as good as exact.
    capped = [
        None if p is None or q is None else min(max(p, q), (k - 1) * p)
        for p, q in zip(plain, adjusted, strict=True)
    ]
    halves: list[float | None] = [bound * c.se if c.se > 0 else None for c in contrasts]
    pairs = paired_up(contrasts, plain, capped, halves, labels)
    return FamilyResult(test="dunnett", pairs=pairs, correction="dunnett", n=n, alpha=alpha, notes=notes)


def max_t(
    *groups: ArrayLike,
    baseline: int | str | None = None,
    names: Names = None,
    draws: int = DRAWS,
    seed: int = 0,
    alpha: float = 0.05,
) -> FamilyResult:
    """All pairs, or all against the baseline, on the same items: t of item differences by the largest of all.

    The largest |t| of the family is drawn from the multivariate t with the correlations of the differences (Hothorn,
    Bretz and Westfall 2008, Biometrical J. 50), so that shared items and a shared baseline count; `p_adjusted` lies
    between the plain p and Bonferroni's, and is the dual of the simultaneous interval. One pair alone is `paired_t`.
    groups: shape [items] or [items, repeats]. Raises StatsError on unequal lengths or fewer than two complete items.
    """
    check_level(alpha)
    table, notes = blocks(groups)
    n, k = table.shape
    labels = labelled(names, k)
    places = all_pairs(k) if baseline is None else against(k, place(baseline, labels))
    differences = np.column_stack([table[:, a] - table[:, b] for a, b in places])
    spread = differences.std(axis=0, ddof=1)
    spread[spread <= 1e-14 * np.abs(table).max()] = 0.0
    contrasts = [
        Contrast(a, b, math.fsum(column) / n, float(sd) / math.sqrt(n), n - 1)
        for (a, b), column, sd in zip(places, differences.T, spread, strict=True)
    ]
    live = np.flatnonzero(spread)
    largest = _largest_t(differences[:, live] / spread[live], draws, seed) if len(live) else np.zeros(1)
    bound = _bound(largest, len(live), n - 1, alpha)
    plain = [None if c.statistic is None else two_sided_p(c.statistic, n - 1) for c in contrasts]
    adjusted = [
        None if c.statistic is None or p is None else _max_t_p(abs(c.statistic), p, largest, len(live))
        for c, p in zip(contrasts, plain, strict=True)
    ]
    halves: list[float | None] = [bound * c.se if c.se > 0 else None for c in contrasts]
    said = (f"{draws} draws, seed {seed}",) if len(live) > 1 else ()
    return FamilyResult(
        test="max_t",
        pairs=paired_up(contrasts, plain, adjusted, halves, labels),
        correction="max_t",
        n=n,
        alpha=alpha,
        notes=notes + said,
    )


class Joint:
    """Comparisons that share items (or clusters), as one family: each keeps its own test, and the joint distribution of
    their t statistics says at which level it is read.

    This is the single-step method of Hothorn, Bretz and Westfall (2008) on p-values (Westfall and Young 1993): p is taken
    as the size of a t, and adjusted by how often the largest of all sizes is that large. Where a comparison is a t-test
    the result is that of `max_t`. scores_UK: what each unit adds to each comparison, shape [units, comparisons].
    """

    def __init__(self, scores_UK: Floats, df: float, *, draws: int = DRAWS, seed: int = 0) -> None:
        spread = scores_UK.std(axis=0, ddof=1)
        live = np.flatnonzero(spread > 1e-14 * np.abs(scores_UK).max(initial=0.0))
        self._pairs, self._df = max(1, len(live)), df
        self._largest = (
            _largest_t(scores_UK[:, live] / spread[live], draws, seed) if len(live) > 1 else np.zeros(0)
        )

    def adjusted(self, p_value: float) -> float:
        """The p-value held to alpha together with all others of the family."""
        if p_value >= 1.0 or self._pairs == 1:
            return p_value
        return _max_t_p(critical(p_value, self._df), p_value, self._largest, self._pairs)

    def level(self, alpha: float) -> float:
        """At which each comparison is read, so that their intervals cover together at 1 - alpha."""
        if self._pairs == 1:
            return alpha
        return two_sided_p(_bound(self._largest, self._pairs, self._df, alpha), self._df)


def _largest_t(scaled: Floats, draws: int, seed: int) -> Floats:
    """Draws of the largest |t|, in rising order. scaled: differences over their spread, shape [items, pairs]."""
    n, m = scaled.shape
    correlation = np.atleast_2d(np.corrcoef(scaled, rowvar=False))
    values, vectors = np.linalg.eigh(correlation)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    rng = np.random.default_rng(seed)
    step = max(1, 2_000_000 // m)
    parts = []
    for start in range(0, draws, step):
        rows = min(step, draws - start)
        scale = np.sqrt(rng.chisquare(n - 1, rows) / (n - 1))
        parts.append(np.abs(rng.standard_normal((rows, m)) @ root.T).max(axis=1) / scale)
    return np.sort(np.concatenate(parts))


def _max_t_p(size: float, plain: float, largest: Floats, m: int) -> float:
    above = len(largest) - int(np.searchsorted(largest, size, side="left"))
    return min(max((above + 1) / (len(largest) + 1), plain), m * plain, 1.0)


def _bound(largest: Floats, m: int, df: float, alpha: float) -> float:
    """The size of t from which `_max_t_p` is alpha or less."""
    if m == 0:
        return math.inf
    allowed = math.floor(alpha * (len(largest) + 1)) - 1
    drawn = float(largest[-1 - allowed]) if 0 <= allowed < len(largest) else math.inf
    return min(max(drawn, critical(alpha, df)), critical(alpha / m, df))


def _dunnett_within(loads: Floats, df: float) -> Callable[[float], float]:
    """P(every |t| <= c), t with the product correlations of `loads` (Dunnett 1989), by Gauss and Legendre."""
    from scipy.special import ndtr
    from scipy.stats import chi

    nodes, weights = np.polynomial.legendre.leggauss(160)
    z, z_weights = 9 * nodes, 9 * weights * np.exp(-0.5 * (9 * nodes) ** 2) / math.sqrt(2 * math.pi)
    low, high = (float(chi.ppf(q, df)) / math.sqrt(df) for q in (1e-15, 1 - 1e-15))
    s = (low + high) / 2 + (high - low) / 2 * nodes
    s_weights = (high - low) / 2 * weights * chi.pdf(s * math.sqrt(df), df) * math.sqrt(df)
    rest = np.sqrt(1 - loads**2)

    def within(c: float) -> float:
        product = np.ones((len(z), len(s)))
        for load, left in zip(loads, rest, strict=True):
            centre = load * z[:, None] / left
            product *= ndtr(centre + c * s / left) - ndtr(centre - c * s / left)
        return float(z_weights @ product @ s_weights)

    return within
