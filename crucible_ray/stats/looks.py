"""Planned looks at a paired difference: at each the default decision, at the level that O'Brien-Fleming spending gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crucible_ray.errors import StatsError
from crucible_ray.stats.decision import paired_difference
from crucible_ray.stats.result import Floats
from crucible_ray.stats.sequential import look_levels
from crucible_ray.stats.verdicts import Verdict, interval_alpha, verdict

_LEAST_P = 1e-12
_FINE = 1e-5
"""Of the logarithm of a p-value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedBounds:
    """What two conditions did on the items of a look: outcomes in [0, 1], lost ones as bounds; each [items, repeats]."""

    a_low: Floats
    a_high: Floats
    b_low: Floats
    b_high: Floats
    strata: NDArray[np.int64] | None = None

    def first(self, items: int) -> PairedBounds:
        """Of the first so many items."""
        strata = None if self.strata is None else self.strata[:items]
        cut = (each[:items] for each in (self.a_low, self.a_high, self.b_low, self.b_high))
        a_low, a_high, b_low, b_high = cut
        return PairedBounds(a_low=a_low, a_high=a_high, b_low=b_low, b_high=b_high, strata=strata)


@dataclass(frozen=True, slots=True, kw_only=True)
class LookResult:
    """What one planned look says of a claim on a - b."""

    verdict: Verdict
    ci_low: float | None
    """The repeated interval at `confidence`; None: it has no spread, or too little to look at."""
    ci_high: float | None
    confidence: float


def judge_look(
    shares: Sequence[float],
    look: int,
    items: PairedBounds,
    relation: str,
    margin: float = 0.0,
    *,
    alpha: float = 0.05,
) -> LookResult:
    """Judge a claim at a planned look, counted from 0.

    shares: of the items, at every planned look. items: those of this look. What was lost counts at its worst: the
    lower limit is that of the lowest difference, the upper one that of the highest, so that nothing that was lost
    can bring a verdict about.
    """
    total = interval_alpha(alpha, relation)
    level = look_levels(tuple(shares), total)[look]
    outcome, low, high = _read(items, relation, margin, level)
    return LookResult(
        verdict=outcome,
        ci_low=low,
        ci_high=high,
        confidence=1 - total,
    )


def repeated_p(
    shares: Sequence[float], look: int, items: PairedBounds, relation: str, margin: float = 0.0
) -> float:
    """The repeated p-value of a look: the smallest alpha at which it decides (Jennison and Turnbull 1989, JRSS B 51).

    By bisection on the level of the look, then on alpha; an equivalence's is that of its two one-sided tests.
    Arguments as for `judge_look`.
    """
    least, most = math.log(_LEAST_P), -1e-9
    if _read(items, relation, margin, math.exp(most))[0] == "not_decided":
        return 1.0
    while most - least > _FINE:
        middle = (least + most) / 2
        decided = _read(items, relation, margin, math.exp(middle))[0] != "not_decided"
        least, most = (least, middle) if decided else (middle, most)
    alpha = _alpha_of(tuple(shares), look, math.exp(most))
    return alpha / 2 if relation == "equivalence" else alpha


def _read(
    items: PairedBounds, relation: str, margin: float, level: float
) -> tuple[Verdict, float | None, float | None]:
    """(verdict, lower limit, upper limit) at a two-sided level."""
    try:
        lowest = paired_difference(items.b_high, items.a_low, alpha=level, strata=items.strata)
        highest = paired_difference(items.b_low, items.a_high, alpha=level, strata=items.strata)
    except StatsError:  # fewer than two items: nothing to look at
        return "not_decided", None, None
    low, high = lowest.result.ci_low, highest.result.ci_high
    if low is None or high is None or not (lowest.decidable and highest.decidable):
        return "not_decided", low, high
    return verdict(low, high, relation, margin), low, high


def _alpha_of(shares: tuple[float, ...], look: int, level: float) -> float:
    """The two-sided alpha in all at which a look has this level."""
    from scipy.optimize import brentq

    def excess(log_alpha: float) -> float:
        return math.log(look_levels(shares[: look + 1], math.exp(log_alpha))[look]) - math.log(level)

    least, most = math.log(_LEAST_P), math.log(0.999)
    if excess(most) <= 0:
        return 1.0
    if excess(least) >= 0:
        return _LEAST_P
    return math.exp(brentq(excess, least, most, xtol=_FINE))
