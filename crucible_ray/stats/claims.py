"""A claim on a mean, judged while increments come in: supported, refuted, or still open, at a level that always holds.

| claim | supported | refuted |
| --- | --- | --- |
| superiority, mean > margin | every mean up to the margin is out | every mean from the margin on is out |
| non-inferiority, mean > -margin | every mean up to -margin is out | every mean from -margin on is out |
| equivalence, -margin < mean < margin | every mean outside is out | every mean inside is out |

A mean is out once capital that was bet against it passed its threshold (`sequential.betting_sequence`). The first
verdict stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical
from crucible_ray.stats.inputs import complete
from crucible_ray.stats.result import Floats
from crucible_ray.stats.sequential import BETS, limit
from crucible_ray.stats.verdicts import Verdict, interval_alpha

_BETS = np.asarray(BETS)
_SIDES = {"superiority": (1.0, 1.0), "non_inferiority": (-1.0, -1.0), "equivalence": (-1.0, 1.0)}
"""By relation: below which edge, and above which, a supported mean does not lie; in margins."""


_MOST_LOG = 700.0
"""No larger logarithm has an exponential."""


class _Capital:
    """Capital that is bet against every mean on one side of an edge, log scale."""

    def __init__(self, edge: float, *, above: bool) -> None:
        """`above`: the bets win where increments lie above the edge."""
        self.above = above
        self._sign = 1.0 if above else -1.0
        self._null = (1 + self._sign * edge) / 2
        self._logs = np.zeros(len(BETS))
        self.now = self.most = 0.0

    def feed(self, increments: Floats) -> Floats:
        """The most that the capital has been after each of these; shape [n], n above 0."""
        values = (1 + self._sign * increments) / 2
        steps = np.log1p(_BETS * (values[:, None] / self._null - 1))
        steps[0] += self._logs
        logs = steps.cumsum(axis=0)
        top = logs.max(axis=1)
        capital = top + np.log(np.exp(logs - top[:, None]).mean(axis=1))
        most: Floats = np.maximum(np.maximum.accumulate(capital), self.most)
        self._logs, self.now, self.most = logs[-1], float(capital[-1]), float(most[-1])
        return most


class Claim:
    """One claim; told increments in [-1, 1] as they come, in the order fixed before the run. Memory does not grow."""

    def __init__(self, relation: str, margin: float = 0.0, *, alpha: float = 0.05) -> None:
        """Raises StatsError on a relation or margin that is none."""
        if relation not in _SIDES:
            raise StatsError(f"no relation {relation!r}: {', '.join(_SIDES)}")
        if not 0 <= margin < 1:
            raise StatsError(f"a margin of {margin:g} lies outside [0, 1)")
        critical(alpha)
        low, high = (side * margin for side in _SIDES[relation])
        self.relation, self.margin, self.alpha = relation, margin, interval_alpha(alpha, relation)
        self._threshold = math.log(2 / self.alpha)
        self._for = [_Capital(low, above=True)]
        self._against = [_Capital(high, above=False)]
        if relation == "equivalence":
            # Inside both edges it is supported; beyond either it is refuted.
            self._for.append(_Capital(high, above=False))
            self._against = [_Capital(high, above=True), _Capital(low, above=False)]
        self.n = 0
        self.verdict: Verdict = "not_decided"
        self.decided_at: int | None = None
        """After how many increments the verdict was there."""

    def feed(self, lows: Floats, highs: Floats) -> None:
        """Increments, each known to lie between a low and a high (the same where nothing was lost); shape [n] both.

        What wins by high increments is told the lows, what wins by low ones the highs: so nothing that was lost can
        bring a verdict about.
        """
        if not len(lows):
            return
        told = [each.feed(lows if each.above else highs) for each in (*self._for, *self._against)]
        passed = [most >= self._threshold for most in told]
        supported = np.logical_and.reduce(passed[: len(self._for)])
        refuted = np.logical_or.reduce(passed[len(self._for) :])
        if self.verdict == "not_decided" and (found := np.flatnonzero(supported | refuted)).size:
            self.decided_at = self.n + int(found[0]) + 1
            self.verdict = "supported" if supported[found[0]] else "refuted"
        self.n += len(lows)

    @property
    def e_value(self) -> float:
        """The capital now that was bet on the claim: 20 is what p = .05 is elsewhere, at any time."""
        return math.exp(min(*(each.now for each in self._for), _MOST_LOG))

    @property
    def p_value(self) -> float:
        """Anytime-valid: of a mean at the edge, two-sided; for an equivalence the larger of two one-sided ones."""
        if self.relation == "equivalence":
            return min(1.0, math.exp(-min(each.most for each in self._for)))
        return min(1.0, 2 * math.exp(-max(each.most for each in (*self._for, *self._against))))


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimResult:
    """What is known of a claim after so many increments, all earlier looks included."""

    n: int
    verdict: Verdict
    """`reversed`: a superiority whose whole interval lies below zero."""
    decided_at: int | None
    ci_low: float
    """The confidence sequence at `confidence`."""
    ci_high: float
    p_value: float
    e_value: float
    confidence: float


def judge_claim(
    lows: ArrayLike, highs: ArrayLike, relation: str, margin: float = 0.0, *, alpha: float = 0.05
) -> ClaimResult:
    """Judge a claim on increments in [-1, 1] that are all there; see Claim. Raises StatsError as `betting_sequence`."""
    low, high = complete(lows, "lows", least=1), complete(highs, "highs", least=1)
    if max(np.abs(low).max(), np.abs(high).max()) > 1 or len(low) != len(high) or (low > high).any():
        raise StatsError("lows and highs of equal number, each low at most its high, must lie in [-1, 1]")
    claim = Claim(relation, margin, alpha=alpha)
    claim.feed(low, high)
    threshold = math.log(2 / claim.alpha)
    ci_low, ci_high = 2 * limit((1 + low) / 2, threshold) - 1, 1 - 2 * limit((1 - high) / 2, threshold)
    below = relation == "superiority" and claim.verdict == "refuted" and ci_high < 0
    return ClaimResult(
        n=claim.n,
        verdict="reversed" if below else claim.verdict,
        decided_at=claim.decided_at,
        ci_low=ci_low,
        ci_high=ci_high,
        p_value=claim.p_value,
        e_value=claim.e_value,
        confidence=1 - claim.alpha,
    )
