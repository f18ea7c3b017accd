"""Tests that shuffle or resample: permutation of groups, sign flips of pairs, the bootstrap of a difference."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import combinations, islice

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.chunks import Arrays, Chunk, drawn
from crucible_ray.stats.distributions import critical, normal_cdf, normal_quantile
from crucible_ray.stats.inputs import direction, pairs, two_samples, without_dust
from crucible_ray.stats.ranks import signed_sums
from crucible_ray.stats.result import Floats, TestResult, undefined

RESAMPLES = 9_999
_EXACT = 50_000
"""Splits of two samples that are all gone through."""
_CHUNK = 4_000_000
"""Values held in memory at once while all splits are gone through."""
_FFT_SUMS = 4_000_000
"""Different sums up to which the sign-flip distribution is computed whole."""
_FEW_FLIPS = 16
"""Differing items up to which all sign flips are gone through."""
_SMALL = 1e-9
"""Below it the transform's rounding shows, and the distribution is summed up term by term instead."""
_ROUNDING = 1e-12


def permutation_test(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    alternative: str = "two-sided",
    alpha: float = 0.05,
) -> TestResult:
    """The permutation test of the difference of two means (Fisher 1935, Pitman 1937).

    All splits are gone through where there are 50,000 or fewer, else `resamples` random ones, p = (b + 1) / (R + 1)
    (Phipson and Smyth 2010, SAGMB 9). Two-sided: a difference as large in size or larger. There is no interval:
    `bootstrap_difference` has one. Raises StatsError with no value in a sample.
    """
    before, after, notes = two_samples(control, treatment, least=1)
    n, total = len(after), len(before) + len(after)
    values = np.concatenate([before, after])
    centred = values - math.fsum(values) / total
    estimate, side = math.fsum(after) / n - math.fsum(before) / len(before), direction(alternative)
    if np.ptp(values) == 0:
        return undefined(
            "permutation_test", estimate=0.0, n=total, note="all values are the same", alpha=alpha
        )
    observed, tolerance = math.fsum(centred[len(before) :]), _ROUNDING * float(np.abs(centred).sum())
    splits = math.comb(total, n)
    extreme = 0
    exact = splits <= _EXACT
    for sums in _all_sums(centred, n) if exact else [_random_sums(centred, n, resamples, seed)]:
        extreme += _as_extreme(sums, observed, tolerance, side)
    p_value = extreme / splits if exact else (extreme + 1) / (resamples + 1)
    how = f"all {splits} splits" if exact else f"{resamples} random splits, seed {seed}"
    return TestResult(
        test="permutation_test",
        statistic=None,
        df=None,
        p_value=p_value,
        estimate=estimate,
        ci_low=None,
        ci_high=None,
        n=total,
        assumptions=("values are exchangeable between the groups if nothing differs",),
        notes=(*notes, how),
        alpha=alpha,
        alternative=side,
    )


def paired_permutation(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
    alternative: str = "two-sided",
    alpha: float = 0.05,
) -> TestResult:
    """The sign-flip test of a mean paired difference (Fisher 1935), items the unit.

    control, treatment: shape [items] or [items, repeats]. Where item differences are whole multiples of 1 / repeats,
    as those of 0/1 outcomes with equal repeats are, the p-value is exact: the distribution of the sum comes from one
    Fourier transform (p below 1e-9 is summed up directly). It is exact for 16 differing items or fewer, too.
    Otherwise `resamples` random flips, p = (b + 1) / (R + 1). At one repeat of 0/1 outcomes this is the exact
    McNemar test. Raises StatsError on unequal numbers of items.
    """
    before, after, notes = pairs(control, treatment, least=1)
    diff, side = without_dust(after - before, before, after), direction(alternative)
    n = len(diff)
    differing = int(np.count_nonzero(diff))
    if not differing:
        return undefined(
            "paired_permutation", estimate=0.0, n=n, note="every difference is zero", alpha=alpha
        )
    weights = _whole(np.abs(diff), 1 if np.ndim(control) < 2 else np.shape(control)[1])
    observed, tolerance = math.fsum(diff), _ROUNDING * float(np.abs(diff).sum())
    how = f"exact, all 2^{differing} flips"
    if weights is not None:
        p_value = _exact_flips(weights, int(np.where(diff > 0, weights, -weights).sum()), side)
    elif differing <= _FEW_FLIPS:
        p_value = _as_extreme(_all_flips(diff[diff != 0]), observed, tolerance, side) / 2**differing
    else:
        extreme = _as_extreme(_random_flips(diff, resamples, seed), observed, tolerance, side)
        p_value, how = (extreme + 1) / (resamples + 1), f"{resamples} random flips, seed {seed}"
    return TestResult(
        test="paired_permutation",
        statistic=None,
        df=None,
        p_value=p_value,
        estimate=math.fsum(diff) / n,
        ci_low=None,
        ci_high=None,
        n=n,
        assumptions=(
            "items are independent of one another",
            "differences are symmetric about 0 if nothing differs",
        ),
        notes=(*notes, how),
        alpha=alpha,
        alternative=side,
    )


def bootstrap_difference(
    control: ArrayLike,
    treatment: ArrayLike,
    *,
    method: str = "bca",
    resamples: int = RESAMPLES,
    seed: int = 0,
    alternative: str = "two-sided",
    alpha: float = 0.05,
) -> TestResult:
    """The bootstrap of the difference of two independent means, each sample resampled by itself.

    `bca`: bias-corrected and accelerated (Efron 1987, JASA 82); `percentile`. The p-value is the level at which the
    interval's end would lie at 0, so that both decide alike. With fewer than about 20 values in a sample the
    interval is too short, and says so. Raises StatsError with fewer than two values in either.
    """
    if method not in ("bca", "percentile"):
        raise StatsError(f"no method {method!r}: bca or percentile")
    before, after, notes = two_samples(control, treatment)
    n, side = len(before) + len(after), direction(alternative)
    estimate = math.fsum(after) / len(after) - math.fsum(before) / len(before)
    if np.ptp(before) == 0 and np.ptp(after) == 0:
        note = "neither sample has any spread: there is nothing to resample"
        return undefined("bootstrap_difference", estimate=estimate, n=n, note=note, alpha=alpha)
    width = len(before) + len(after)
    draws = np.sort(drawn(_mean_differences, (before, after), resamples=resamples, width=width, seed=seed))
    bias, acceleration = _bias(draws, estimate), _acceleration(before, after)
    if method == "percentile":
        bias = acceleration = 0.0
    z = critical(alpha)
    low, high = (float(np.quantile(draws, _level(end, bias, acceleration))) for end in (-z, z))
    small = ("fewer than 20 values in a sample: bootstrap intervals are too short there",)
    return TestResult(
        test=f"bootstrap_{method}",
        statistic=None,
        df=None,
        p_value=_bootstrap_p(draws, bias, acceleration, side),
        estimate=estimate,
        ci_low=low,
        ci_high=high,
        n=n,
        assumptions=("all values are independent of one another",),
        notes=(
            *notes,
            f"{resamples} resamples, seed {seed}",
            *(small if min(len(before), len(after)) < 20 else ()),
        ),
        alpha=alpha,
        alternative=side,
    )


def _as_extreme(sums: Floats, observed: float, tolerance: float, alternative: str) -> int:
    """How many of the sums, whose mean is 0, are as far out as the observed one."""
    if alternative == "two-sided":
        return int((np.abs(sums) >= abs(observed) - tolerance).sum())
    if alternative == "greater":
        return int((sums >= observed - tolerance).sum())
    return int((sums <= observed + tolerance).sum())


def _all_sums(values: Floats, size: int) -> Iterator[Floats]:
    chosen = combinations(range(len(values)), size)
    while chunk := list(islice(chosen, max(1, _CHUNK // size))):
        yield values[np.array(chunk)].sum(axis=1)


def _random_sums(values: Floats, size: int, resamples: int, seed: int) -> Floats:
    return drawn(partial(_split_sums, size), (values,), resamples=resamples, width=len(values), seed=seed)


def _split_sums(size: int, data: Arrays, chunk: Chunk) -> Floats:
    shuffled = chunk.rng().permuted(np.broadcast_to(data[0], (chunk.rows, len(data[0]))), axis=1)
    return np.asarray(shuffled[:, :size].sum(axis=1), np.float64)


def _all_flips(diff: Floats) -> Floats:
    kept = (np.arange(2 ** len(diff))[:, None] >> np.arange(len(diff))) & 1
    return np.asarray((2 * kept - 1) @ diff, np.float64)


def _random_flips(diff: Floats, resamples: int, seed: int) -> Floats:
    """Sums under random signs. Eight differences have 256 sums: a random byte looks one up."""
    width = -(-len(diff) // 8)
    eights = np.zeros((width, 8))
    eights.ravel()[: len(diff)] = diff
    sums = eights @ np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1).T
    kept = drawn(_picked, (sums,), resamples=resamples, width=width, seed=seed)
    flipped: Floats = 2 * kept - float(diff.sum())
    return flipped


def _picked(data: Arrays, chunk: Chunk) -> Floats:
    """Sums of the flipped differences; data: the 256 sums of each eight, shape [eights, 256]."""
    (sums,) = data
    kept = np.zeros(chunk.rows)
    random = np.frombuffer(chunk.rng().bytes(chunk.rows * len(sums)), np.uint8).reshape(len(sums), chunk.rows)
    for eight, byte in zip(sums, random, strict=True):
        kept += eight[byte]
    return kept


def _whole(sizes: Floats, repeats: int) -> Floats | None:
    """The differences in whole steps, or None where there is no step or the sums are too many."""
    scaled = sizes * repeats
    rounded = np.rint(scaled)
    if not (np.abs(scaled - rounded) <= 1e-9 * np.maximum(1.0, scaled)).all():
        return None
    return rounded if rounded.sum() <= _FFT_SUMS else None


def _exact_flips(weights: Floats, observed: int, alternative: str) -> float:
    """P of a signed sum of the weights as extreme as the observed one; signs are fair coins."""
    kept = weights[weights > 0].astype(int)
    top = int(kept.sum())
    centred = 2 * np.arange(top + 1) - top
    chances = _flips_by_fft(kept, top)
    p_value = _tail(centred, chances, observed, alternative)
    if p_value < _SMALL and len(kept) * top <= 1_000_000_000:
        chances = signed_sums(kept / 2)[1]
        p_value = _tail(centred, chances, observed, alternative)
    return p_value


def _flips_by_fft(weights: np.ndarray[tuple[int], np.dtype[np.int_]], top: int) -> Floats:
    """Chances of each sum 0..top of the weights that come up: the inverse transform of (1 + e^(-i w k)) / 2."""
    from scipy.fft import irfft, next_fast_len

    size = next_fast_len(top + 1, real=True)
    angle = -2 * np.pi * np.arange(size // 2 + 1) / size
    spectrum = np.ones(len(angle), complex)
    for weight, count in zip(*np.unique(weights, return_counts=True), strict=True):
        spectrum *= ((1 + np.exp(1j * ((angle * weight) % (2 * np.pi)))) / 2) ** count
    return np.maximum(np.asarray(irfft(spectrum, size), np.float64)[: top + 1], 0.0)


def _tail(
    centred: np.ndarray[tuple[int], np.dtype[np.int_]], chances: Floats, observed: int, side: str
) -> float:
    if side == "two-sided":
        extreme = chances[np.abs(centred) >= abs(observed)]
    else:
        extreme = chances[centred >= observed] if side == "greater" else chances[centred <= observed]
    return min(1.0, math.fsum(extreme))


def _mean_differences(data: Arrays, chunk: Chunk) -> Floats:
    """Means of the second sample less those of the first, each resampled by itself."""
    rng = chunk.rng()
    before, after = (each[rng.integers(0, len(each), (chunk.rows, len(each)))].mean(axis=1) for each in data)
    return np.asarray(after - before, np.float64)


def _bias(draws: Floats, estimate: float) -> float:
    """The normal quantile of the share of resamples below the estimate, ties counting half."""
    share = (np.searchsorted(draws, estimate, "left") + np.searchsorted(draws, estimate, "right")) / (
        2 * len(draws)
    )
    return normal_quantile(min(max(float(share), 0.5 / len(draws)), 1 - 0.5 / len(draws)))


def _acceleration(before: Floats, after: Floats) -> float:
    """Of two samples: the skewness of the jackknife's influences (Efron and Tibshirani 1993, eq. 14.15)."""
    influences = [-(before - before.mean()) / len(before), (after - after.mean()) / len(after)]
    cubes: float = sum(math.fsum(part**3) for part in influences)
    squares: float = sum(math.fsum(part**2) for part in influences)
    return cubes / (6 * math.pow(squares, 1.5))


def _level(z: float, bias: float, acceleration: float) -> float:
    shifted = bias + z
    return normal_cdf(bias + shifted / (1 - acceleration * shifted))


def _bootstrap_p(draws: Floats, bias: float, acceleration: float, alternative: str) -> float:
    """The level whose interval ends at 0, never below 1 / (R + 1)."""
    below = (np.searchsorted(draws, 0.0, "left") + np.searchsorted(draws, 0.0, "right")) / 2
    share = min(max(float(below), 0.5), len(draws) - 0.5) / len(draws)
    shifted = normal_quantile(share) - bias
    lower = normal_cdf(shifted / (1 + acceleration * shifted) - bias)
    floor = 1 / (len(draws) + 1)
    if alternative == "two-sided":
        return min(1.0, max(2 * min(lower, 1 - lower), 2 * floor))
    return max(lower if alternative == "greater" else 1 - lower, floor)
