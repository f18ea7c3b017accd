"""While a run goes on: looks that keep their level. A betting sequence at any time, O'Brien-Fleming at planned ones.

The increment is one item's mean difference, complete in all conditions and repeats, in an order fixed before the
run: never in completion order, which goes with latency, and never per trial.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import check_level, critical, normal_cdf, normal_quantile, two_sided_p
from crucible_ray.stats.inputs import complete
from crucible_ray.stats.result import Floats, Interval

BETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2, 0.28, 0.4, 0.56, 0.8)
"""Shares of the capital that are bet, in equal parts; fixed before any data."""
_NEXT_TO_ZERO = 1e-9
_NODES = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class BettingSequence:
    """What a sequence of increments says after all of them, at a level that holds however often it is asked."""

    n: int
    """Increments so far."""
    estimate: float
    """Their mean."""
    ci_low: float
    ci_high: float
    """The confidence sequence at 1 - alpha, all earlier looks included."""
    p_value: float
    """Anytime-valid, two-sided, of a mean that equals `margin`."""
    decided_at: int | None
    """After how many increments the sequence first left out `margin`; None: not yet."""
    margin: float
    alpha: float


def betting_sequence(increments: ArrayLike, *, margin: float = 0.0, alpha: float = 0.05) -> BettingSequence:
    """A confidence sequence for the mean of increments in [-1, 1], by betting against every other mean.

    For each mean m, capital grows by 1 + b (x - m) / (1 + m) with every increment, in equal parts for the bets b
    in `BETS`, and mirrored for the other side; m is out for good once either capital passed 2 / alpha (Ville's
    inequality; Waudby-Smith and Ramdas 2024, JRSS B 86). The bets are a fixed mixture, not adapted. increments:
    shape [n], in the order fixed before the run. Raises StatsError outside [-1, 1], on NaN, or none at all.
    """
    found = complete(increments, "increments", least=1)
    if np.abs(found).max() > 1:
        raise StatsError("increments must lie in [-1, 1]: scale them by their known bounds first")
    if not -1 < margin < 1:
        raise StatsError(f"a margin of {margin:g} lies outside (-1, 1)")
    critical(alpha)
    up, down = (1 + found) / 2, (1 - found) / 2
    threshold = math.log(2 / alpha)
    capitals = np.maximum(_capital(up, (1 + margin) / 2), _capital(down, (1 - margin) / 2))
    passed = np.flatnonzero(capitals >= threshold)
    return BettingSequence(
        n=len(found),
        estimate=math.fsum(found) / len(found),
        ci_low=2 * limit(up, threshold) - 1,
        ci_high=1 - 2 * limit(down, threshold),
        p_value=min(1.0, 2 * math.exp(-float(capitals.max()))),
        decided_at=int(passed[0]) + 1 if passed.size else None,
        margin=margin,
        alpha=alpha,
    )


def _capital(values: Floats, mean: float) -> Floats:
    """Log capital after each of the values in [0, 1], betting that their mean is above `mean`; shape [n]."""
    bets = np.asarray(BETS)
    logs = np.log1p(bets * (values[:, None] / mean - 1)).cumsum(axis=0)
    top = logs.max(axis=1)
    capital: Floats = top + np.log(np.exp(logs - top[:, None]).mean(axis=1))
    return capital


def limit(values: Floats, threshold: float) -> float:
    """The largest mean in [0, 1] that log capital passing `threshold` has ever put out; shape [n].

    Capital falls in the mean that is bet against.
    """
    from scipy.optimize import brentq

    def excess(mean: float) -> float:
        return float(_capital(values, mean).max()) - threshold

    if excess(_NEXT_TO_ZERO) < 0:
        return 0.0
    return float(brentq(excess, _NEXT_TO_ZERO, 1.0, xtol=1e-12))


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSequential:
    """A plan of looks, with the boundary of each."""

    fractions: tuple[float, ...]
    """Share of the largest number of items at each look."""
    bounds: tuple[float, ...]
    """|z| from which to stop, at each look."""
    levels: tuple[float, ...]
    """The two-sided p of each boundary."""
    spent: tuple[float, ...]
    """Alpha spent up to each look, both sides."""
    inflation: float
    """The largest number of items over that of the fixed design with the same power."""
    expected: float
    """The mean number of items at the planned effect, over that of the fixed design."""
    alpha: float
    power: float

    def stops(self, look: int, z: float) -> bool:
        """Whether the statistic crosses the boundary at a look, counted from 0."""
        return abs(z) >= self.bounds[look]

    def interval(self, look: int, estimate: float, se: float) -> Interval:
        """The repeated interval at a look (Jennison and Turnbull 1989): it leaves out 0 where the look stops."""
        return Interval(estimate - self.bounds[look] * se, estimate + self.bounds[look] * se)


def group_sequential(
    looks: int | Sequence[float] = 5, *, alpha: float = 0.05, power: float = 0.8
) -> GroupSequential:
    """Planned looks with the O'Brien-Fleming-like spending of Lan and DeMets (1983, Biometrika 70), two-sided.

    Each side spends 2 - 2 Phi(z(alpha / 4) / sqrt(t)) up to the share t of the items. looks: how many, equally
    spaced, or their shares, rising to 1. Boundaries by numerical integration (Armitage, McPherson and Rowe 1969),
    both boundaries at once. Raises StatsError on looks or levels that are none.
    """
    check_level(alpha)
    fractions = _fractions(looks)
    if not 0 < power < 1 or power <= alpha / 2:
        raise StatsError(f"power is {power}; it must lie between alpha / 2 and 1")
    spent = _spent(fractions, alpha)
    bounds = _bounds(fractions, spent)
    fixed = critical(alpha) + normal_quantile(power)
    drift = _drift(fractions, bounds, power, fixed)
    crossed = _crossings(fractions, bounds, drift).sum(axis=1)
    stopped = math.fsum(share * chance for share, chance in zip(fractions, crossed, strict=True))
    mean = stopped + (1 - float(crossed.sum())) * fractions[-1]
    inflation = (drift / fixed) ** 2
    return GroupSequential(
        fractions=tuple(fractions),
        bounds=tuple(bounds),
        levels=tuple(two_sided_p(bound) for bound in bounds),
        spent=tuple(spent),
        inflation=inflation,
        expected=inflation * mean,
        alpha=alpha,
        power=power,
    )


@cache
def look_levels(fractions: tuple[float, ...], alpha: float) -> tuple[float, ...]:
    """The two-sided level of each of these looks alone: `GroupSequential.levels` of a plan that begins with them."""
    return tuple(two_sided_p(bound) for bound in _bounds(fractions, _spent(fractions, alpha)))


def _spent(fractions: Sequence[float], alpha: float) -> list[float]:
    """Alpha spent up to each look, both sides."""
    quantile = critical(alpha / 2)
    return [4 * normal_cdf(-quantile / math.sqrt(share)) for share in fractions]


def _fractions(looks: int | Sequence[float]) -> list[float]:
    if isinstance(looks, int):
        if looks < 1:
            raise StatsError(f"{looks} looks are none")
        return [(look + 1) / looks for look in range(looks)]
    shares = [float(share) for share in looks]
    if not shares or shares[0] <= 0 or shares[-1] != 1 or any(b <= a for a, b in pairwise(shares)):
        raise StatsError(f"looks are shares of the items that rise from above 0 to 1; these are {shares}")
    return shares


def _bounds(fractions: Sequence[float], spent: Sequence[float]) -> list[float]:
    """Boundaries in z, so that the chance to cross any up to each look is what was to be spent."""
    from scipy.optimize import brentq

    bounds: list[float] = []
    for look, total in enumerate(spent):

        def excess(bound: float, look: int = look, total: float = total) -> float:
            crossed = _crossings(fractions[: look + 1], [*bounds, bound], 0.0)
            return float(crossed.sum()) - total

        bounds.append(float(brentq(excess, 0.0, 40.0, xtol=1e-11)))
    return bounds


def _drift(fractions: Sequence[float], bounds: Sequence[float], power: float, fixed: float) -> float:
    """The mean of z at the last look at which the upper boundary is crossed with probability `power`."""
    from scipy.optimize import brentq

    def excess(drift: float) -> float:
        return float(_crossings(fractions, bounds, drift)[:, 0].sum()) - power

    return float(brentq(excess, 0.0, 3 * fixed + 3, xtol=1e-11))


@cache
def _rule() -> tuple[Floats, Floats]:
    points, weights = np.polynomial.legendre.leggauss(_NODES)
    return points, weights


def _crossings(fractions: Sequence[float], bounds: Sequence[float], drift: float) -> NDArray[np.float64]:
    """The chance to cross first at each look, above and below, shape [looks, 2].

    A Brownian motion with mean drift * t; its density inside the boundaries is carried from look to look on
    Gauss-Legendre nodes.
    """
    from scipy.special import ndtr

    points, weights = _rule()
    out = np.zeros((len(fractions), 2))
    nodes, mass, before = np.zeros(1), np.ones(1), 0.0
    for look, (share, bound) in enumerate(zip(fractions, bounds, strict=True)):
        step, edge = math.sqrt(share - before), bound * math.sqrt(share)
        centre = nodes + drift * (share - before)
        out[look] = mass @ ndtr((centre - edge) / step), mass @ ndtr((-edge - centre) / step)
        # A far boundary is cut where no mass is left, so that the nodes lie where the density does.
        reach = min(edge, abs(drift) * share + 10 * math.sqrt(share))
        inside = reach * points
        density = np.exp(-(((inside[:, None] - centre) / step) ** 2) / 2) / (step * math.sqrt(2 * math.pi))
        mass = (density @ mass) * weights * reach
        nodes, before = inside, share
    return out
