"""Intervals and p-values that are read off draws: an interval leaves a value out exactly where p is below alpha."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import numpy as np

from crucible_ray.stats.result import Floats
from crucible_ray.stats.sums import exact_sum


@dataclass(frozen=True, slots=True)
class Draws:
    """What was drawn of an estimate, sorted, and how much of alpha lies beyond either end of its interval."""

    lows: Floats
    """Where lower ends are taken from, in rising order."""
    highs: Floats
    """Where upper ends are taken from, in rising order."""
    tail: float
    """Share of alpha beyond one end: .5 of a bootstrap, 1 of a test that counts both sides at once."""

    @classmethod
    def of_bootstrap(cls, drawn: Floats) -> Self:
        """Of resampled estimates; one that is NaN (a difference of two infinities) counts for both sides."""
        lows, highs = (np.sort(np.where(np.isnan(drawn), end, drawn)) for end in (-np.inf, np.inf))
        return cls(lows, highs, 0.5)

    def interval(self, alpha: float) -> tuple[float, float]:
        """Both ends at 1 - alpha; infinite where there are too few draws, or the end itself is."""
        rank = math.ceil(alpha * self.tail * (len(self.lows) + 1)) - 2
        if rank < 0:
            return -math.inf, math.inf
        return float(self.lows[rank]), float(self.highs[-1 - rank])

    def p_against(self, value: float) -> float:
        """The smallest level at which the interval leaves `value` out."""
        below = int(np.searchsorted(self.lows, value, side="right"))
        above = len(self.highs) - int(np.searchsorted(self.highs, value, side="left"))
        return min(1.0, (min(below, above) + 1) / (self.tail * (len(self.lows) + 1)))


def sign_flips(diff_I: Floats, *, flips: int, seed: int) -> Draws:
    """The sign-flip test of a mean and its interval: every shift that the test does not reject.

    For a flip of some items' signs, a shift is as extreme as observed exactly where it lies beyond the mean of the flipped
    or that of the other items, whichever is nearer (so Hartigan 1969, JASA 64); the ends are quantiles of these.
    diff_I: shape [items], no NaN.
    """
    n, total = len(diff_I), exact_sum(diff_I)
    rng = np.random.default_rng(seed)
    step = max(1, 8_000_000 // n)
    parts = []
    for start in range(0, flips, step):
        rows = min(step, flips - start)
        flipped = np.unpackbits(rng.integers(0, 256, (rows, (n + 7) // 8), np.uint8), axis=1, count=n)
        parts.append(_of_flips(flipped.astype(np.float64) @ diff_I, flipped.sum(axis=1), total, n))
    lows, highs = (np.sort(np.concatenate(ends)) for ends in zip(*parts, strict=True))
    return Draws(lows, highs, 1.0)


def _of_flips(sums: Floats, counts: Floats, total: float, n: int) -> tuple[Floats, Floats]:
    some = (counts > 0) & (counts < n)
    counts = np.where(some, counts, 1).astype(np.float64)
    flipped, rest = sums / counts, (total - sums) / np.where(some, n - counts, 1)
    # A sum of differences that is 0 comes out a rounding away from it, on either side.
    dust = 1e-12 * float(np.abs(sums).max(initial=abs(total)))
    flipped[np.abs(flipped * counts) <= dust] = 0.0
    rest[np.abs(total - sums) <= dust] = 0.0
    lows, highs = np.minimum(flipped, rest), np.maximum(flipped, rest)
    # All items flipped, or none, is what was observed: as extreme as itself whatever the shift.
    return np.where(some, lows, -np.inf), np.where(some, highs, np.inf)
