"""The default decision on a paired difference: which rule applies, and what it says.

| outcome | rule |
| --- | --- |
| bounded=False | t on item differences |
| 0/1, every item difference -1, 0 or 1 | McNemar's score test and its dual, Tango's interval |
| bounded by 0 and 1, fewer than 20 items differ | adjusted Wald test |
| bounded by 0 and 1 otherwise | adjusted t on item differences, with more caution where fewer than 13 carry them |
| several strata; bounded=False, or 20 items differ and 13 carry | t on differences within strata, by item share |

With too few differing items no split of them could reject: then there is no verdict, only the interval, which holds 0.
p is never below what an exact sign test could say of so many differing items, so p, interval and verdict agree at every
level. How often each rule is wrong is measured by `benchmarks/calibration.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crucible_ray.errors import StatsError
from crucible_ray.stats.inputs import as_rows, item_differences, two_items
from crucible_ray.stats.paired import (
    adjusted_difference,
    adjusted_t,
    clustered_difference,
    mcnemar_counts,
)
from crucible_ray.stats.result import Floats, TestResult
from crucible_ray.stats.strata import stratified_difference
from crucible_ray.stats.sums import exact_sum

FEW_DISCORDANT = 12
"""Differing items below which a score test is labelled "few differing items"."""
FEW_DIFFERING = 20
"""Differing items below which t on item differences gives way to the adjusted Wald test."""
FEW_CARRY, MANY_CARRY = 11, 13
"""So few items that carry the differences, or fewer, call for all the caution there is; so many, or more, for none."""

_NOTHING = 1e-75
"""A share that differs by less does not differ: the fourth power of it is no normal float."""
TOO_FEW = "too few differing items to decide"
UNEVEN = (
    "a few items carry most of the differences, so the interval allows for other items like these few: "
    "more items narrow it, more repeats hardly do"
)
CAUTIONS = (TOO_FEW, UNEVEN)
"""Notes without which an interval, or the lack of a verdict, is a riddle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDecision:
    """What the default rule says about treatment minus control, and why this rule."""

    result: TestResult
    reason: str
    """Which rule was chosen and why, one sentence."""
    decidable: bool
    """False: too few items differ for any verdict."""
    items: int
    """Items answered under both conditions."""
    differing: int
    """Items whose means differ."""


def paired_difference(
    control_IR: ArrayLike,
    treatment_IR: ArrayLike,
    *,
    bounded: bool = True,
    alpha: float = 0.05,
    strata: NDArray[np.int64] | None = None,
) -> PairedDecision:
    """Decide on the mean of treatment minus control over items, by the table above.

    control_IR, treatment_IR: one row per item in the same order, shape [items, repeats] or [items]; NaN where
    a trial has no value. bounded: outcomes lie between 0 and 1 (declared, never guessed: a cost in dollars
    does so too). strata: one label per item, shape [items]; where they cannot be kept apart (few differing items,
    a stratum of one) the items are pooled, which counts what lies between strata as noise: the cautious side. An
    item counts when both conditions have a value for it, with the mean over the values it
    has. Raises StatsError on different numbers of items, on values outside what `bounded` says, or with fewer
    than two complete items.
    """
    control, treatment = as_rows(control_IR), as_rows(treatment_IR)
    if len(control) != len(treatment):
        raise StatsError(f"pairs need the same items; control has {len(control)}, treatment {len(treatment)}")
    diff = item_differences(control, treatment)
    labels = None if strata is None else strata[~np.isnan(diff)]
    diff = diff[~np.isnan(diff)]
    if bounded:
        diff[np.abs(diff) < _NOTHING] = 0.0
    two_items(len(diff))
    repeats = max(_repeats(control), _repeats(treatment))
    informative = repeats > 1 and (_varies(control) or _varies(treatment))
    if bounded and not _within(control, treatment, binary=False):
        raise StatsError("bounded outcomes lie between 0 and 1; ask for bounded=False")
    if labels is not None and _separable(diff, labels, bounded=bounded):
        result, why = stratified_difference(diff, labels, alpha=alpha), _STRATIFIED
    else:
        result, why = _decide(diff, control, treatment, bounded=bounded, alpha=alpha)
        why += "" if labels is None or np.ptp(labels) == 0 else _POOLED
    differing = int(np.count_nonzero(diff))
    decidable = not bounded or differing >= fewest_decidable(alpha)
    if bounded:
        result = _guarded(result, differing, decidable=decidable)
    few = FEW_DISCORDANT if result.test == "mcnemar_score" else FEW_DIFFERING
    notes = list(result.notes)
    if repeats > 1 and not informative:
        notes.append(f"{repeats} repeats carry the information of 1: they never differ within an item")
    if not decidable:
        notes.append(TOO_FEW)
    elif bounded and differing < few:
        notes.append("few differing items")
    design = f"paired, {len(diff)} items" + (f" x {repeats} repeats" if repeats > 1 else "")
    return PairedDecision(
        result=replace(result, notes=tuple(notes)),
        reason=f"{design}, {differing} differ: {why}",
        decidable=decidable,
        items=len(diff),
        differing=differing,
    )


def least_level(differing: int) -> float:
    """The smallest level at which an exact sign test of so many differing items can reject."""
    return min(1.0, 2.0 ** (1 - differing))


def fewest_decidable(alpha: float) -> int:
    """The fewest differing items with which an exact sign test can reject at alpha: 6 for .05."""
    count = 1
    while least_level(count) >= alpha:
        count += 1
    return count


_SCORE = "every item difference is -1, 0 or 1, so McNemar's score test with Tango's interval"
_ADJUSTED = f"fewer than {FEW_DIFFERING}, so the adjusted Wald test with two pseudo-items"
_T_CAUTIOUS = (
    f"but a few of them carry most (as many as {{:.1f}} would if all were of one size, fewer than {MANY_CARRY}), "
    "so t on item differences (adjusted with caution)"
)
_T_BOUNDED = f"{FEW_DIFFERING} or more, so t on item differences (adjusted)"
_T_CONTINUOUS = "a continuous outcome, so t on item differences"
_STRATIFIED = "several datasets, so t on differences within each, weighted by their shares of the items"
_POOLED = "; datasets pooled, which counts what lies between them as noise"


def _separable(diff: Floats, labels: NDArray[np.int64], *, bounded: bool) -> bool:
    """Whether there are strata, and enough in each of them."""
    counts = np.unique(labels, return_counts=True)[1]
    enough = not bounded or (
        int(np.count_nonzero(diff)) >= FEW_DIFFERING and effective_items(diff) >= MANY_CARRY
    )
    spread = any(bool(np.ptp(diff[labels == label]) > 0) for label in np.unique(labels))
    return len(counts) > 1 and int(counts.min()) > 1 and enough and spread


def _decide(
    diff: Floats, control: Floats, treatment: Floats, *, bounded: bool, alpha: float
) -> tuple[TestResult, str]:
    if not bounded:
        return clustered_difference(diff, alpha=alpha), _T_CONTINUOUS
    if _within(control, treatment, binary=True) and bool(np.isin(diff, (-1.0, 0.0, 1.0)).all()):
        gains, losses = int(np.count_nonzero(diff > 0)), int(np.count_nonzero(diff < 0))
        return mcnemar_counts(gains, losses, len(diff), alpha=alpha), _SCORE
    if np.count_nonzero(diff) < FEW_DIFFERING:
        return adjusted_difference(diff, alpha=alpha), _ADJUSTED
    effective = effective_items(diff)
    share = float(caution(effective))
    result = adjusted_t(diff, caution=share, alpha=alpha)
    if not share:
        return result, _T_BOUNDED
    # Rounded down, so that what is fewer never reads as many.
    return replace(result, notes=(UNEVEN,)), _T_CAUTIOUS.format(floor(10 * effective) / 10)


def effective_items(diff: Floats) -> float:
    """How many differences of one size would spread as these do: (sum of d^2)^2 / sum of d^4; 0 where none differ."""
    squares = diff[diff != 0] ** 2
    return exact_sum(squares) ** 2 / exact_sum(squares**2) if len(squares) else 0.0


def caution(effective: ArrayLike) -> Floats:
    """How far the pseudo-items go from a typical difference (0) to the largest there can be (1), by `effective_items`.

    It goes over by and by, so that one item more or less moves no interval by leaps.
    """
    return np.clip((MANY_CARRY - np.asarray(effective, np.float64)) / (MANY_CARRY - FEW_CARRY), 0.0, 1.0)


def _guarded(result: TestResult, differing: int, *, decidable: bool) -> TestResult:
    """p no lower than an exact sign test can go; without a verdict the interval holds 0, so that they agree."""
    p_value = None if result.p_value is None else max(result.p_value, least_level(differing))
    if decidable or result.ci_low is None or result.ci_high is None:
        return replace(result, p_value=p_value)
    return replace(result, p_value=p_value, ci_low=min(result.ci_low, 0.0), ci_high=max(result.ci_high, 0.0))


def _within(control: Floats, treatment: Floats, *, binary: bool) -> bool:
    """Whether every value is 0 or 1, or, not `binary`, lies between them."""
    for table in (control, treatment):
        inside = (table == 0) | (table == 1) if binary else (table >= 0) & (table <= 1)
        if not bool((inside | np.isnan(table)).all()):
            return False
    return True


def _repeats(table: Floats) -> int:
    return int((~np.isnan(table)).sum(axis=1).max(initial=0))


def _varies(table: Floats) -> bool:
    """Whether any item has two different values among its repeats."""
    lowest = np.where(np.isnan(table), np.inf, table).min(axis=1)
    highest = np.where(np.isnan(table), -np.inf, table).max(axis=1)
    return bool((highest > lowest).any())
