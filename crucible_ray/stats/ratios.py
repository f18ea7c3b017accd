"""Two shares as odds ratio, risk ratio and Cohen's h; the ratio of two totals with Fieller's interval.

Each of the three takes either two independent samples of 0 and 1, `(control, treatment)`, and is then treatment
over control; or one 2 x 2 table `[[a, b], [c, d]]`, and is then its first row over its second, with the counts of
the outcome in the first column: (a / b) / (c / d), as scipy, statsmodels and R have it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical
from crucible_ray.stats.effect import COHEN, Effect, magnitude
from crucible_ray.stats.inputs import binary, counts, pairs, two_samples
from crucible_ray.stats.result import Floats
from crucible_ray.stats.sums import exact_sum

_HALVED = "a cell is empty: one half was added to each (Haldane 1956; Anscombe 1956)"


def odds_ratio(control: ArrayLike, treatment: ArrayLike | None = None, *, alpha: float = 0.05) -> Effect:
    """The sample odds ratio, ad / bc, with Woolf's interval on the log scale (Woolf 1955).

    An empty cell adds one half to every cell, and is said. Raises StatsError on other than counts or 0 and 1, or
    where an outcome never, or always, occurs.
    """
    cells, notes = _cells(control, treatment)
    (a, b), (c, d) = _never_empty(cells).tolist()
    se = math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    half = critical(alpha) * se
    value = a * d / (b * c)
    return Effect(
        measure="odds_ratio",
        value=value,
        ci_low=value * math.exp(-half),
        ci_high=value * math.exp(half),
        method="ad / bc; Woolf's interval (normal on the log scale)",
        n=round(float(cells.sum())),
        alpha=alpha,
        notes=notes if cells.all() else (*notes, _HALVED),
    )


def risk_ratio(control: ArrayLike, treatment: ArrayLike | None = None, *, alpha: float = 0.05) -> Effect:
    """The ratio of two shares, with Katz' interval on the log scale (Katz et al. 1978); otherwise as `odds_ratio`."""
    cells, notes = _cells(control, treatment)
    (a, b), (c, d) = _never_empty(cells).tolist()
    se = math.sqrt(1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))
    half = critical(alpha) * se
    value = (a / (a + b)) / (c / (c + d))
    return Effect(
        measure="risk_ratio",
        value=value,
        ci_low=value * math.exp(-half),
        ci_high=value * math.exp(half),
        method="ratio of shares; Katz' interval (normal on the log scale)",
        n=round(float(cells.sum())),
        alpha=alpha,
        notes=notes if cells.all() else (*notes, _HALVED),
    )


def cohens_h(control: ArrayLike, treatment: ArrayLike | None = None, *, alpha: float = 0.05) -> Effect:
    """Cohen's h: 2 asin(sqrt(p1)) - 2 asin(sqrt(p2)), with standard error sqrt(1 / n1 + 1 / n2) (Cohen 1988, 6.2).

    Raises StatsError on other than counts or 0 and 1.
    """
    cells, notes = _cells(control, treatment)
    sizes = cells.sum(axis=1)
    first, second = (2 * math.asin(math.sqrt(share)) for share in cells[:, 0] / sizes)
    half = critical(alpha) * math.sqrt(1 / sizes[0] + 1 / sizes[1])
    value = first - second
    return Effect(
        measure="cohens_h",
        value=value,
        ci_low=max(value - half, -math.pi),
        ci_high=min(value + half, math.pi),
        method="difference of arcsine-transformed shares; normal",
        n=round(float(sizes.sum())),
        magnitude=magnitude(value, COHEN),
        alpha=alpha,
        notes=notes,
    )


def ratio_ci(numerator: ArrayLike, denominator: ArrayLike, *, alpha: float = 0.05) -> Effect:
    """The ratio of two totals over the same items (dollars per correct answer), with Fieller's interval.

    numerator, denominator: one value per item, shape [items]. The interval holds every r at which the mean of
    numerator - r denominator does not differ from 0 by a t-test with n - 1 degrees of freedom (Fieller 1954, JRSS
    B 16). Where the denominator's own interval holds 0 there is none, and the notes say so; a mean of per-item
    ratios is another, worse, quantity. Raises StatsError on unequal lengths, or a total of 0 below the line.
    """
    above, below, left_out = pairs(numerator, denominator)
    n = len(above)
    top, bottom = exact_sum(above) / n, exact_sum(below) / n
    if bottom == 0:
        raise StatsError("the denominator's total is 0: there is no ratio")
    t2 = critical(alpha, n - 1) ** 2
    products = [(above - top) ** 2, (below - bottom) ** 2, (above - top) * (below - bottom)]
    v11, v22, v12 = (math.fsum(product) / (n - 1) / n for product in products)
    # bottom^2 > t^2 v22 keeps the quadratic open upwards, and its roots real.
    lead = bottom**2 - t2 * v22
    low = high = None
    notes: tuple[str, ...] = ("not estimable: the denominator's interval holds 0",)
    if lead > 0:
        middle = top * bottom - t2 * v12
        root = math.sqrt(max(middle**2 - lead * (top**2 - t2 * v11), 0.0))
        low, high, notes = (middle - root) / lead, (middle + root) / lead, ()
    return Effect(
        measure="ratio",
        value=top / bottom,
        ci_low=low,
        ci_high=high,
        method=f"ratio of totals over items; Fieller, t with {n - 1} df",
        n=n,
        alpha=alpha,
        notes=left_out + notes,
    )


def _cells(control: ArrayLike, treatment: ArrayLike | None) -> tuple[Floats, tuple[str, ...]]:
    """The 2 x 2 table whose first row is set against the second, and what was left out of it."""
    if treatment is None:
        if np.shape(control) != (2, 2):
            raise StatsError(
                "give two samples of 0 and 1, (control, treatment), or one 2 x 2 table of counts"
            )
        return counts(control), ()
    before, after, notes = two_samples(control, treatment, least=1)
    rows = [binary(values, "a ratio of odds or shares") for values in (after, before)]
    return np.array([[values.sum(), len(values) - values.sum()] for values in rows]), notes


def _never_empty(cells: Floats) -> Floats:
    if not cells.sum(axis=0).all():
        raise StatsError("the outcome is the same everywhere: no ratio of odds or shares is defined")
    return cells if cells.all() else cells + 0.5
