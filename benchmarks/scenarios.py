"""Worlds with a known difference: how often an item comes out as (a of R right, b of R right).

Items differ in difficulty: an item's chance to be answered right has a beta distribution, and both conditions have
the same quantile of theirs. A condition is stochastic (every repeat is drawn anew) or frozen at temperature 0 (one
answer an item, the same at every repeat): drawn once with the item's chance, or greedy, right on the easiest items.
Items are independent, so a simulated experiment is one multinomial draw, and one repeat can be gone through whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta, binom

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Baseline = Literal["stochastic", "frozen", "greedy"]

_NODES = 2_000
"""Difficulties in the middle of equal shares of the items."""
_NEGLIGIBLE = 1e-14


@dataclass(frozen=True)
class Scenario:
    """One experiment, as often as one likes."""

    items: int
    repeats: int
    accuracy: float
    """Mean of the baseline."""
    difference: float = 0.0
    """Treatment minus baseline, aimed at; `truth` is what came of it."""
    baseline: Baseline = "stochastic"
    concentration: float = 8.0
    """Of the difficulties: 8 spreads them around the mean, 1 puts most near 0 and 1."""

    @property
    def name(self) -> str:
        """As it stands in the table."""
        spread = "" if self.concentration == 8.0 else f", concentration {self.concentration:g}"
        return (
            f"{self.items} items x {self.repeats}, accuracy {self.accuracy:g}, difference {self.difference + 0.0:+g}, "
            f"{self.baseline} baseline{spread}"
        )

    @cached_property
    def joint(self) -> Floats:
        """Chance of an item with a right answers of the baseline and b of the treatment, shape [R + 1, R + 1]."""
        levels = (np.arange(_NODES) + 0.5) / _NODES
        before, after = (
            beta.ppf(levels, self.concentration * mean, self.concentration * (1 - mean))
            for mean in (self.accuracy, self.accuracy + self.difference)
        )
        table = self._baseline(before).T @ _binomial(after, self.repeats) / _NODES
        table[table < _NEGLIGIBLE] = 0.0
        chances: Floats = np.divide(table, table.sum())
        return chances

    def _baseline(self, chances: Floats) -> Floats:
        """Chance of each number of right answers by difficulty, shape [nodes, R + 1]."""
        if self.baseline == "stochastic":
            return _binomial(chances, self.repeats)
        right = chances
        if self.baseline == "greedy":  # the easiest, of the same total; the last of them in part
            right = np.clip(chances.sum() - np.arange(_NODES)[::-1], 0.0, 1.0)
        table = np.zeros((_NODES, self.repeats + 1))
        table[:, 0], table[:, -1] = 1 - right, right
        return table

    @cached_property
    def steps(self) -> Floats:
        """Chance of each difference b - a, from -R to R."""
        return np.array([np.trace(self.joint, k) for k in range(-self.repeats, self.repeats + 1)])

    @property
    def truth(self) -> float:
        """The true mean difference; exactly 0 where none was aimed at."""
        if self.difference == 0.0:
            return 0.0
        return float(np.arange(-self.repeats, self.repeats + 1) @ self.steps) / self.repeats

    @property
    def expected_differing(self) -> float:
        """How many items are expected to differ."""
        return self.items * (1 - float(self.steps[self.repeats]))

    def draws(self, sims: int, rng: np.random.Generator) -> Counts:
        """How many items of each (a, b), shape [sims, (R + 1)^2]."""
        return rng.multinomial(self.items, self.joint.ravel(), size=sims)


def _binomial(chances: Floats, repeats: int) -> Floats:
    return np.asarray(binom.pmf(np.arange(repeats + 1), repeats, chances[:, None]), np.float64)


def by_step(draws: Counts, repeats: int) -> Counts:
    """Counts of the differences b - a from -R to R, shape [sims, 2 R + 1], of counts of (a, b)."""
    found = np.zeros((len(draws), 2 * repeats + 1), np.int64)
    pairs = draws.reshape(len(draws), repeats + 1, repeats + 1)
    for step in range(-repeats, repeats + 1):
        found[:, step + repeats] = np.trace(pairs, step, axis1=1, axis2=2)
    return found


def splits(items: int, most: int) -> Counts:
    """All outcomes of one repeat with up to `most` differing items: losses, alike, gains, shape [outcomes, 3]."""
    losses, gains = (grid.ravel() for grid in np.meshgrid(np.arange(most + 1), np.arange(most + 1)))
    kept = losses + gains <= min(items, most)
    losses, gains = losses[kept], gains[kept]
    return np.column_stack([losses, items - losses - gains, gains])


def chance_of(splits_S3: Counts, steps: Floats) -> Floats:
    """The multinomial chance of each of `splits` where an item loses, stays or gains with `steps`."""
    from scipy.special import gammaln, xlogy

    n = splits_S3[0].sum()
    logs = gammaln(n + 1) - gammaln(splits_S3 + 1).sum(axis=1) + xlogy(splits_S3, steps).sum(axis=1)
    return np.asarray(np.exp(logs), np.float64)
