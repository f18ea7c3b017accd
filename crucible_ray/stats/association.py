"""Whether one thing of an item goes with another, and whether conditions differ in a count taken on the same items."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.stats.distributions import chi_square_p, two_sided_p
from crucible_ray.stats.inputs import blocks, pairs
from crucible_ray.stats.resampling import RESAMPLES
from crucible_ray.stats.result import Floats, TestResult, undefined

_FEW = 20
"""Values of `y` off its commonest one below which p comes from permutations, not from the normal distribution."""
_SMALL = 400
"""Items up to which whole permutations are drawn; beyond, only the places of the values that are off."""
_CHUNK = 2_000_000
_SAYS = ("The two go together", "The data do not show that the two go together")


def spearman(x: ArrayLike, y: ArrayLike, *, seed: int = 0, alpha: float = 0.05) -> TestResult:
    """Spearman's rank correlation as a permutation test (Spearman 1904; Mantel 1963, JASA 58), ties by mid-ranks.

    x, y: shape [items]; pairs that lack a value are left out. z is rho sqrt(n - 1), whose variance under permutation
    is 1 whatever the ties: with a `y` of two values it is Wilcoxon's rank-sum test without continuity correction.
    Where fewer than 20 values of y differ from its commonest one, p is that of 9,999 seeded permutations,
    (b + 1) / (B + 1). There is no interval. Raises StatsError on different lengths or fewer than two pairs.
    """
    from scipy.stats import rankdata

    first, second, notes = pairs(x, y)
    n = len(first)
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return undefined("spearman", estimate=None, n=n, note="one of the two never varies", alpha=alpha)
    ranks_x = np.asarray(rankdata(first), np.float64) - (n + 1) / 2
    ranks_y = np.asarray(rankdata(second), np.float64)
    values, counts = np.unique(second, return_counts=True)
    ranks_y -= ranks_y[second == values[counts.argmax()]][0]  # the commonest value weighs nothing
    off = ranks_y != 0
    scale = math.sqrt(math.fsum(ranks_x**2) * math.fsum((ranks_y - math.fsum(ranks_y) / n) ** 2))
    rho = math.fsum(ranks_x * ranks_y) / scale
    z = rho * math.sqrt(n - 1)
    p_value = two_sided_p(z)
    if int(off.sum()) < _FEW:
        observed = abs(math.fsum(ranks_x * ranks_y)) * (1 - 1e-12)
        sums = _permuted(ranks_x, ranks_y[off], np.random.default_rng(seed))
        extreme = sum(int((np.abs(chunk) >= observed).sum()) for chunk in sums)
        p_value, notes = (extreme + 1) / (RESAMPLES + 1), (*notes, f"{RESAMPLES:,} random permutations")
    return TestResult(
        test="spearman",
        statistic=z,
        df=None,
        p_value=p_value,
        estimate=rho,
        ci_low=None,
        ci_high=None,
        n=n,
        assumptions=("items are exchangeable if the two do not go together",),
        notes=notes,
        alpha=alpha,
        symbol="z",
        measure="rank correlation",
        says=_SAYS,
    )


def _permuted(ranks: Floats, weights: Floats, rng: np.random.Generator) -> Iterator[Floats]:
    """Weighted sums over places that are drawn without replacement, RESAMPLES in all."""
    n, k, left = len(ranks), len(weights), RESAMPLES
    while left:
        count = min(left, max(1, _CHUNK // max(n if n <= _SMALL else k, 1)))
        if n <= _SMALL:
            places = rng.random((count, n)).argsort(axis=1)[:, :k]
        else:  # so few places among so many seldom collide: draw again where they do
            places = rng.integers(0, n, (count, k))
            ordered = np.sort(places, axis=1)
            places = places[(ordered[:, 1:] != ordered[:, :-1]).all(axis=1)]
        left -= len(places)
        yield ranks[places] @ weights


def mean_scores(*groups: ArrayLike, alpha: float = 0.05) -> TestResult:
    """Do several conditions have the same mean score on the same items? The permutation chi-square within items.

    groups: one per condition, shape [items], or [items, repeats], of which each item's mean is taken. The Cochran-
    Mantel-Haenszel mean score statistic with items as strata (Landis, Heyman and Koch 1978, ISR 46): with scores of
    0 and 1 it is Cochran's Q, with ranks Friedman's. Raises StatsError on unequal lengths or fewer than two items.
    """
    table, notes = blocks(groups)
    n, k = table.shape
    spread = math.fsum(((table - table.mean(axis=1, keepdims=True)) ** 2).ravel())
    if spread == 0:
        return undefined(
            "mean_scores", estimate=None, n=n, note="no item tells the conditions apart", alpha=alpha
        )
    sums = table.sum(axis=0)
    statistic = (k - 1) * math.fsum((sums - sums.mean()) ** 2) / spread
    return TestResult(
        test="mean_scores",
        statistic=statistic,
        df=k - 1,
        p_value=chi_square_p(statistic, k - 1),
        estimate=None,
        ci_low=None,
        ci_high=None,
        n=n,
        assumptions=("conditions are exchangeable within an item if nothing differs",),
        notes=notes,
        alpha=alpha,
        symbol="chi2",
        says=("The conditions differ", "The data do not tell the conditions apart"),
    )
