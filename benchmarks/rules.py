"""Rules for two conditions, over many experiments at once: counts of item differences in, decisions and intervals out.

`default` is the rule of `crucible_ray/stats/decision.py` over arrays (`crucible_ray/stats/tally.py`);
`tests/stats/test_tally.py` holds these two to one another, `tests/stats/test_calibration.py` the others to theirs. The bootstrap
and the sign flips are without simulation error: the distribution of a sum of independent steps comes from one Fourier
transform.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, next_fast_len
from scipy.special import bdtr, ndtr, ndtri, stdtr, stdtrit

from crucible_ray.stats.distributions import critical
from crucible_ray.stats.tally import decisions

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]

_ROWS = 512
"""Experiments that are transformed at once."""


@dataclass(frozen=True)
class Said:
    """What a rule says of each experiment, shape [sims]."""

    rejects: Bools
    p_value: Floats | None
    low: Floats | None
    """None: the rule has no interval."""
    high: Floats | None

    def covers(self, truth: float) -> Bools | None:
        """Whether the interval holds the truth."""
        if self.low is None or self.high is None:
            return None
        held: Bools = (self.low <= truth) & (truth <= self.high)
        return held


def default(counts_SK: Counts, alpha: float = 0.05) -> Said:
    """What `compare` and every report decide by. counts_SK: items by difference from -R to R, shape [sims, 2 R + 1]."""
    said = decisions(counts_SK, alpha=alpha)
    return Said(said.rejects, said.p_value, said.low, said.high)


def pooled_welch(draws_SP: Counts, repeats: int, alpha: float = 0.05) -> Said:
    """Welch's t over all repeats of both conditions, pairing ignored. draws_SP: items by (a, b)."""
    right = np.arange(repeats + 1)
    pairs = draws_SP.reshape(len(draws_SP), repeats + 1, repeats + 1)
    before, after = pairs.sum(axis=2) @ right, pairs.sum(axis=1) @ right
    return pooled_welch_of(before, after, int(draws_SP[0].sum()) * repeats, alpha)


def pooled_welch_of(before: Counts, after: Counts, n: int, alpha: float = 0.05) -> Said:
    """The same from how many of n answers are right in each."""
    means = before / n, after / n
    shares = [mean * (1 - mean) / (n - 1) for mean in means]
    squared, gap = shares[0] + shares[1], means[1] - means[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        df = squared**2 / ((shares[0] ** 2 + shares[1] ** 2) / (n - 1))
        p_value = 2 * stdtr(df, -np.abs(gap) / np.sqrt(squared))
        half = -stdtrit(df, alpha / 2) * np.sqrt(squared)
    # Without spread there is no test; its interval is the estimate alone.
    half = np.where(squared > 0, half, 0.0)
    return Said(p_value < alpha, p_value, gap - half, gap + half)


def exact_mcnemar(counts_S3: Counts, alpha: float = 0.05) -> Said:
    """The exact McNemar test; it has no interval of its own."""
    losses, gains = counts_S3[:, 0], counts_S3[:, 2]
    p_value = np.minimum(1.0, 2 * bdtr(np.minimum(losses, gains), losses + gains, 0.5))
    return Said(p_value < alpha, p_value, None, None)


def sign_flip(counts_SK: Counts, alpha: float = 0.05) -> Said:
    """The exact sign-flip test of the item differences."""
    repeats = counts_SK.shape[1] // 2
    sizes = counts_SK[:, repeats + 1 :] + counts_SK[:, repeats - 1 :: -1]
    steps = np.arange(1, repeats + 1)
    observed = np.abs(counts_SK @ np.arange(-repeats, repeats + 1))
    width = _width(np.sqrt(sizes @ steps**2).max(), int(observed.max()))
    angles = 2 * np.pi * np.arange(width // 2 + 1) / width
    waves = np.cos(steps[:, None] * angles)
    with np.errstate(divide="ignore"):
        logs, negative = np.log(np.abs(waves)), (waves < 0).astype(np.float64)
    logs = np.maximum(logs, -700.0)
    centred = np.arange(width)
    centred = np.minimum(centred, width - centred)
    p_value = np.empty(len(counts_SK))
    for rows in _chunks(len(counts_SK)):
        some = sizes[rows].astype(np.float64)
        spectrum = np.exp(some @ logs) * (1 - 2 * ((some @ negative) % 2))
        chances = irfft(spectrum, width, axis=1)
        p_value[rows] = np.where(centred >= observed[rows, None], chances, 0.0).sum(axis=1)
    return Said(p_value < alpha, p_value, None, None)


def bootstrap(counts_SK: Counts, alpha: float = 0.05, *, corrected: bool = True) -> Said:
    """The item bootstrap of the mean difference, BCa or percentile; where all items are alike the estimate alone."""
    repeats = counts_SK.shape[1] // 2
    n = int(counts_SK[0].sum())
    steps = np.arange(-repeats, repeats + 1)
    total = counts_SK @ steps
    spread = np.sqrt(np.maximum(counts_SK @ steps**2 - total**2 / n, 0))
    width = _width(float(spread.max()), 0)
    waves = np.exp(-2j * np.pi * np.outer(steps, np.arange(width // 2 + 1)) / width)
    skew = _skew(counts_SK, steps, total / n) if corrected else np.zeros(len(counts_SK))
    low, high = (np.empty(len(counts_SK)) for _ in range(2))
    for rows in _chunks(len(counts_SK)):
        some, at = counts_SK[rows] / n, total[rows]
        # Sums are moved so that the middle of the window is the observed one.
        shift = np.exp(2j * np.pi * np.outer(at - width // 2, np.arange(width // 2 + 1)) / width)
        chances = irfft((some @ waves) ** n * shift, width, axis=1)
        below = np.cumsum(np.maximum(chances, 0.0), axis=1)
        levels = _levels(below[:, width // 2 - 1], below[:, width // 2], skew[rows], alpha, corrected)
        for level, ends in zip(levels, (low, high), strict=True):
            reached = (below < level[:, None] - 1e-12).sum(axis=1)
            ends[rows] = (at + np.minimum(reached, width - 1) - width // 2) / (n * repeats)
    alike = spread == 0
    low[alike] = high[alike] = total[alike] / (n * repeats)
    return Said((low > 0) | (high < 0), None, low, high)


def _levels(
    below: Floats, upto: Floats, skew: Floats, alpha: float, corrected: bool
) -> tuple[Floats, Floats]:
    if not corrected:
        return np.full(len(below), alpha / 2), np.full(len(below), 1 - alpha / 2)
    share = np.clip((below + upto) / 2, 1e-12, 1 - 1e-12)
    bias, z = ndtri(share), critical(alpha)
    low, high = (ndtr(bias + (bias + side) / (1 - skew * (bias + side))) for side in (-z, z))
    return low, high


def _skew(counts_SK: Counts, steps: NDArray[np.int64], mean: Floats) -> Floats:
    away = steps - mean[:, None]
    squares, cubes = ((counts_SK * away**power).sum(axis=1) for power in (2, 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(squares > 0, cubes / (6 * squares**1.5), 0.0)


def _width(sd: float, reach: int) -> int:
    """A window that holds the sums: eight standard deviations to each side."""
    return int(next_fast_len(2 * max(int(8 * sd) + 2, reach + 1), real=True))


def _chunks(rows: int) -> list[slice]:
    return [slice(start, start + _ROWS) for start in range(0, rows, _ROWS)]
