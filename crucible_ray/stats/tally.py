"""The default decision on many experiments at once, from tallies of their item differences (planning, calibration).

The same rule as `decision.paired_difference` of outcomes bounded by 0 and 1 with equal repeats, over arrays;
`tests/stats/test_tally.py` holds the two to one another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crucible_ray.stats.decision import FEW_DIFFERING, caution, fewest_decidable
from crucible_ray.stats.distributions import critical
from crucible_ray.stats.paired import padding, tango_limits
from crucible_ray.stats.result import Floats

Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """What the rule says of each experiment, shape [experiments]."""

    p_value: Floats
    low: Floats
    high: Floats
    decidable: Bools
    rejects: Bools
    """A verdict against no difference: p below alpha, and with it the interval beside 0."""


def decisions(counts_EK: Counts, *, alpha: float = 0.05) -> Decisions:
    """The default rule on each experiment.

    counts_EK: how many items have each difference -R/R ... R/R of their means over R repeats of a 0/1 outcome, shape
    [experiments, 2 R + 1], with the same number of items in each row.
    """
    repeats = counts_EK.shape[1] // 2
    n = int(counts_EK[0].sum())
    steps = np.arange(-repeats, repeats + 1) / repeats
    differing = n - counts_EK[:, repeats]
    partly = np.flatnonzero(np.arange(1 - repeats, repeats)) + 1
    whole = counts_EK[:, partly].sum(axis=1) == 0
    few = differing < FEW_DIFFERING
    p_value, low, high = (np.empty(len(counts_EK)) for _ in range(3))
    for chosen, rule in ((whole, _score), (~whole & few, _wald), (~whole & ~few, _t)):
        if chosen.any():
            p_value[chosen], low[chosen], high[chosen] = rule(counts_EK[chosen], steps, alpha)
    p_value = np.maximum(p_value, np.minimum(1.0, np.exp2(1.0 - differing)))
    decidable = differing >= fewest_decidable(alpha)
    low = np.where(decidable, low, np.minimum(low, 0.0))
    high = np.where(decidable, high, np.maximum(high, 0.0))
    return Decisions(
        p_value=p_value, low=low, high=high, decidable=decidable, rejects=decidable & (p_value < alpha)
    )


def _score(counts_EK: Counts, steps: Floats, alpha: float) -> tuple[Floats, Floats, Floats]:
    """McNemar's score test and Tango's interval, each pair of counts once."""
    from scipy.special import ndtr

    n = int(counts_EK[0].sum())
    kinds, inverse = np.unique(counts_EK[:, 0] * (n + 1) + counts_EK[:, -1], return_inverse=True)
    losses, gains = kinds // (n + 1), kinds % (n + 1)
    low, high = tango_limits(gains, losses, np.full(len(kinds), n), alpha=alpha)
    p_value = 2 * ndtr(-np.abs(gains - losses) / np.sqrt(np.maximum(gains + losses, 1)))
    return p_value[inverse], low[inverse], high[inverse]


def _wald(counts_EK: Counts, steps: Floats, alpha: float) -> tuple[Floats, Floats, Floats]:
    from scipy.special import ndtr

    centre, se = _padded(counts_EK, steps, np.full(len(counts_EK), 2.0))
    return (2 * ndtr(-np.abs(centre / se)), *_ends(centre, critical(alpha) * se))


def _t(counts_EK: Counts, steps: Floats, alpha: float) -> tuple[Floats, Floats, Floats]:
    from scipy.special import stdtr

    df = int(counts_EK[0].sum()) - 1
    squares, fourths = counts_EK @ steps**2, counts_EK @ steps**4
    added = padding(squares, fourths, caution(squares**2 / fourths))
    centre, se = _padded(counts_EK, steps, added)
    return (2 * stdtr(df, -np.abs(centre / se)), *_ends(centre, critical(alpha, df) * se))


def _padded(counts_EK: Counts, steps: Floats, added: Floats) -> tuple[Floats, Floats]:
    """Mean and standard error with two pseudo-items of these squares together."""
    n = int(counts_EK[0].sum()) + 2
    centre = counts_EK @ steps / n
    se: Floats = np.sqrt(((counts_EK @ steps**2 + added) / n - centre**2) / n)
    return centre, se


def _ends(centre: Floats, half: Floats) -> tuple[Floats, Floats]:
    return np.maximum(centre - half, -1.0), np.minimum(centre + half, 1.0)
