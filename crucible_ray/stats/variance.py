"""Where variance comes from: items, conditions, their interaction, resamples; trends; and what a split of calls is worth.

| question | answer |
| --- | --- |
| how much of the variance is each source's? | expected mean squares of the crossed design (items random, conditions fixed) |
| how alike are two repeats of an item? | ICC(1), one-way random (Shrout and Fleiss 1979; McGraw and Wong 1996) |
| does anything drift? | a slope on position with items as clusters |
| more items or more repeats? | (between + within / R) / n (Miller 2024, arXiv 2411.00640) |
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical
from crucible_ray.stats.inputs import as_floats
from crucible_ray.stats.result import Floats, TestResult, over_error, undefined
from crucible_ray.stats.sums import exact_sum

_ROUNDING = 1e-13
"""Of the largest value: differences below it are rounding."""


class Components(NamedTuple):
    """Variance by source, in the outcome's unit squared; None: the design cannot tell it apart."""

    items: float
    conditions: float | None
    items_x_conditions: float | None
    """With one repeat the resamples are in here."""
    resamples: float | None

    @property
    def total(self) -> float:
        """All that is told apart."""
        return math.fsum(part for part in self if part is not None)


class Icc(NamedTuple):
    """ICC(1): how alike two repeats of one item are; and of the mean of all repeats, ICC(k)."""

    value: float
    ci_low: float | None
    ci_high: float | None
    mean: float
    """ICC(k), Spearman and Brown's step up: how alike two means of k repeats would be."""
    items: int
    repeats: int


class Split(NamedTuple):
    """What the mean difference's variance is made of, of items n and repeats R: (between + within / R) / n."""

    between: float
    """Of items' true differences."""
    within: float
    """Of one repeat's difference around its item's."""
    items: int
    repeats: int

    def se(self, repeats: int, items: float | None = None) -> float:
        """The standard error with so many repeats; items None: as many as the same number of calls allows."""
        n = self.items * self.repeats / repeats if items is None else items
        return math.sqrt((self.between + self.within / repeats) / n)

    @property
    def worth(self) -> float:
        """How many single answers the information of R repeats of an item is worth; 1 where repeats are identical."""
        together = self.between + self.within / self.repeats
        return (self.between + self.within) / together if together > 0 else 1.0


def components(values_IRK: ArrayLike) -> Components:
    """Variance components by the expected mean squares of a balanced crossed design, negative ones taken as 0.

    values_IRK: shape [items, repeats, conditions], without NaN: `complete_items` leaves out what is incomplete. Items
    are random, conditions fixed; theirs is sum (mean_k - mean)^2 / (K - 1) freed of noise. The others are what REML
    of `y ~ condition + (1 | item) + (1 | item:condition)` gives where all are positive (Searle, Casella and McCulloch
    1992, section 4.3). Raises StatsError with NaN or fewer than two items.
    """
    y = as_floats(values_IRK, "values")
    if y.ndim != 3 or len(y) < 2 or np.isnan(y).any():
        raise StatsError(
            "variance components need [items, repeats, conditions] of two items or more, without NaN"
        )
    n, r, k = y.shape
    cell, item, condition, grand = y.mean(axis=1), y.mean(axis=(1, 2)), y.mean(axis=(0, 1)), float(y.mean())
    dust = _ROUNDING * float(np.abs(y).max())
    ms_item = r * k * _squares(item - grand, dust) / (n - 1)
    ms_error = _squares(y - cell[:, None, :], dust) / (n * k * (r - 1)) if r > 1 else None
    if k == 1:
        noise = 0.0 if ms_error is None else ms_error
        return Components(max(0.0, (ms_item - noise) / r), None, None, ms_error)
    ms_both = r * _squares(cell - item[:, None] - condition + grand, dust) / ((n - 1) * (k - 1))
    ms_condition = n * r * _squares(condition - grand, dust) / (k - 1)
    both = ms_both if ms_error is None else max(0.0, (ms_both - ms_error) / r)
    return Components(
        items=max(0.0, (ms_item - ms_both) / (r * k)),
        conditions=max(0.0, (ms_condition - ms_both) / (n * r)),
        items_x_conditions=both,
        resamples=ms_error,
    )


def complete_items(values_IRK: Floats) -> NDArray[np.bool_]:
    """Which items have a value in every cell, shape [items]."""
    return np.asarray(~np.isnan(values_IRK).any(axis=(1, 2)), np.bool_)


def icc(values_IR: ArrayLike, *, alpha: float = 0.05, normal: bool = False) -> Icc | None:
    """ICC(1), one-way random effects, absolute agreement, of single repeats; None where nothing varies at all.

    values_IR: shape [items, repeats]; items that lack a repeat are left out. normal: the exact F interval of
    normal outcomes (McGraw and Wong 1996, table 7). Otherwise the interval is that of log F by linearisation over
    items, with t: it holds for 0/1 outcomes and long tails as well. No interval where repeats never differ, or every
    item has the same mixture. Raises StatsError with fewer than two repeats or two complete items.
    """
    y = as_floats(values_IR, "values")
    if y.ndim != 2 or y.shape[1] < 2:
        raise StatsError("an intraclass correlation needs [items, repeats] with two repeats or more")
    y = y[~np.isnan(y).any(axis=1)]
    n, k = y.shape
    if n < 2:
        raise StatsError(f"an intraclass correlation needs two complete items or more; here there are {n}")
    means = y.mean(axis=1)
    within_I = ((y - means[:, None]) ** 2).sum(axis=1) / (k - 1)
    between = k * _squares(means - means.mean()) / (n - 1)
    within = exact_sum(within_I) / n
    if between + within <= (_ROUNDING * float(np.abs(y).max())) ** 2:
        return None
    value = (between - within) / (between + (k - 1) * within)
    mean = (between - within) / between if between > 0 else -math.inf
    low = high = None
    if within > 0 and between > 0:
        f = between / within
        ends = _normal_ends(f, n, k, alpha) if normal else _linear_ends(means, within_I, f, k, alpha)
        low, high = (None, None) if ends is None else tuple((e - 1) / (e + k - 1) for e in ends)
    return Icc(value, low, high, mean if math.isfinite(mean) else 0.0, n, k)


def _normal_ends(f: float, n: int, k: int, alpha: float) -> tuple[float, float]:
    from scipy.stats import f as f_distribution

    df, error = n - 1, n * (k - 1)
    return (
        f / float(f_distribution.ppf(1 - alpha / 2, df, error)),
        f * float(f_distribution.ppf(1 - alpha / 2, error, df)),
    )


def _linear_ends(
    means: Floats, within_I: Floats, f: float, k: int, alpha: float
) -> tuple[float, float] | None:
    """Limits of F from the influence of each item on log F."""
    n = len(means)
    squares = (means - means.mean()) ** 2
    influence = squares / squares.mean() - within_I / within_I.mean()
    se = math.sqrt(exact_sum((influence - influence.mean()) ** 2) / (n - 1) / n)
    if se < 1e-12:
        return None
    half = critical(alpha, n - 1) * se
    return f * math.exp(-half), f * math.exp(half)


def trend(values: ArrayLike, at: ArrayLike, items: ArrayLike, *, alpha: float = 0.05) -> TestResult:
    """The slope of values on `at`, with items as clusters: CR1 standard error, t with items - 1 degrees of freedom.

    values, at, items: shape [n], values and `at` freed of what is not of interest already (their means at least).
    Raises StatsError with fewer than three items.
    """
    u, x = as_floats(values, "values"), as_floats(at, "at")
    _, places = np.unique(np.asarray(items), return_inverse=True)
    n = int(places.max()) + 1 if len(places) else 0
    if n < 3:
        raise StatsError(f"a trend needs three items or more; here there are {n}")
    spread = _squares(x)
    if spread == 0:
        return undefined(
            "trend",
            estimate=None,
            n=n,
            note="every value stands at the same place",
            alpha=alpha,
            measure="slope",
        )
    slope = exact_sum(u * x) / spread
    scores = np.asarray(np.bincount(places, (u - slope * x) * x, n), np.float64)
    se = math.sqrt(_squares(scores) * n / (n - 1)) / spread
    if se <= 1e-14 * max(abs(slope), 1e-300) or se == 0:
        return undefined(
            "trend",
            estimate=slope,
            n=n,
            note="nothing is left to judge the slope by",
            alpha=alpha,
            measure="slope",
        )
    return over_error(
        "trend",
        slope,
        se,
        n - 1,
        n=n,
        assumptions=("items are independent of one another", "positions were drawn before the run"),
        alpha=alpha,
        measure="slope",
        says=("There is a trend", "The data do not show a trend"),
    )


def split(diff_IR: ArrayLike) -> Split:
    """What the variance of a mean paired difference is made of (Miller 2024), by mean squares, freed of bias.

    diff_IR: treatment minus control, shape [items, repeats]; items that lack a repeat are left out. Raises StatsError
    with fewer than two repeats or two complete items.
    """
    diff = as_floats(diff_IR, "differences")
    if diff.ndim != 2 or diff.shape[1] < 2:
        raise StatsError("one repeat cannot tell items from resamples: run two repeats or more")
    diff = diff[~np.isnan(diff).any(axis=1)]
    n, r = diff.shape
    if n < 2:
        raise StatsError(f"a split of variance needs two complete items or more; here there are {n}")
    means, dust = diff.mean(axis=1), _ROUNDING * float(np.abs(diff).max())
    within = _squares(diff - means[:, None], dust) / (n * (r - 1))
    between = max(0.0, _squares(means - means.mean(), dust) / (n - 1) - within / r)
    return Split(between, within, n, r)


def _squares(values: Floats, dust: float = 0.0) -> float:
    """The sum of squares; dust: what rounding alone leaves of values that are all alike."""
    return exact_sum((np.where(np.abs(values) <= dust, 0.0, values) ** 2).ravel())
