"""What a pilot says for planning: how items differ, what varies within them, how alike two conditions are.

Its own difference is reported and never taken for the true one: power at the difference that was found says nothing
that its interval does not say ("observed power"; Hoenig and Heisey 2001, American Statistician 55).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.inputs import as_rows
from crucible_ray.stats.result import Floats
from crucible_ray.stats.single import wilson


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Of one metric under two conditions, over the items that both have."""

    items: int
    repeats: int
    """The most that an item has."""
    binary: bool
    control: float
    treatment: float
    """Means."""
    difference: float
    """Treatment minus control, as it was found."""
    discordant: float | None
    """The share of items that differ at one repeat; None: not a 0/1 outcome."""
    discordant_low: float | None
    discordant_high: float | None
    """Its 95 % Wilson interval, over items."""
    sd: float
    """Of an item's difference at one repeat."""
    between: float
    """Variance of items' true differences."""
    within: float | None
    """Variance that one repeat adds to it; None: one repeat tells nothing of it."""
    icc: float | None
    """Of two repeats of an item under one condition, so that icc and rho give `within` and `between`."""
    rho: float | None
    """Of the two conditions' item means, freed of what varies within items."""


def spread_of(control_IR: ArrayLike, treatment_IR: ArrayLike) -> Spread:
    """Variance components of a paired comparison, by the moments of Miller (2024, arXiv 2411.00640).

    Shape [items, repeats], or [items]; NaN where a trial has no value; items that lack a condition are left out.
    Raises StatsError with fewer than two items, or where the two never differ.
    """
    control, treatment = (as_rows(values) for values in (control_IR, treatment_IR))
    if len(control) != len(treatment):
        raise StatsError(f"a pilot has the same items twice, not {len(control)} and {len(treatment)}")
    both = ~np.isnan(control).all(axis=1) & ~np.isnan(treatment).all(axis=1)
    control, treatment = control[both], treatment[both]
    if len(control) < 2:
        raise StatsError(f"a pilot needs two items answered under both conditions; there are {len(control)}")
    means = [np.nanmean(table, axis=1) for table in (control, treatment)]
    binary = all(
        bool((np.isnan(table) | (table == 0) | (table == 1)).all()) for table in (control, treatment)
    )
    between, within, icc, rho = _components(control, treatment, means)
    total = between + (within or 0.0)
    if total <= 0:
        raise StatsError("the pilot's conditions differ on no item: it says nothing of their spread")
    discordant = low = high = None
    if binary:
        discordant = float((means[0] * (1 - means[1]) + means[1] * (1 - means[0])).mean())
        found = wilson(round(discordant * len(control)), len(control))
        low, high = found.low, found.high
    return Spread(
        items=len(control),
        repeats=int(max((~np.isnan(table)).sum(axis=1).max() for table in (control, treatment))),
        binary=binary,
        control=float(means[0].mean()),
        treatment=float(means[1].mean()),
        difference=float((means[1] - means[0]).mean()),
        discordant=discordant,
        discordant_low=low,
        discordant_high=high,
        sd=math.sqrt(total),
        between=between,
        within=within,
        icc=icc,
        rho=rho,
    )


def _components(
    control: Floats, treatment: Floats, means: list[Floats]
) -> tuple[float, float | None, float | None, float | None]:
    """Between and within variance of the difference; icc and rho that stand for them."""
    whole = float(np.var(means[1] - means[0], ddof=1))
    of_control, of_treatment = _within(control), _within(treatment)
    if of_control is None or of_treatment is None:
        return whole, None, None, None
    (within_c, noise_c), (within_t, noise_t) = of_control, of_treatment
    within, between = within_c + within_t, max(0.0, whole - noise_c - noise_t)
    items = [
        max(0.0, float(np.var(mean, ddof=1)) - noise)
        for mean, noise in zip(means, (noise_c, noise_t), strict=True)
    ]
    covariance = float(np.cov(means[0], means[1])[0, 1])
    product = math.sqrt(items[0] * items[1])
    rho = min(max(covariance / product, 0.0), 0.999) if product > 0 else 0.0
    share = within / (between + within) if between + within > 0 else 0.0
    return between, within, (1 - share) / (1 - share * rho), rho


def _within(table: Floats) -> tuple[float, float] | None:
    """The variance of one repeat around its item, and what it adds to an item's mean; None: no item has two."""
    counts = (~np.isnan(table)).sum(axis=1)
    several = counts >= 2
    if not several.any():
        return None
    within = float(np.nanvar(table[several], axis=1, ddof=1).mean())
    return within, within * float((1 / counts).mean())
