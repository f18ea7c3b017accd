"""Effect sizes of order: how often a treatment lies above a control. Ties count half, or nothing, as each says."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import critical
from crucible_ray.stats.effect import ROMANO, Effect, magnitude
from crucible_ray.stats.inputs import pairs, two_samples
from crucible_ray.stats.result import Floats, Interval

_APART = "the two samples do not overlap: the inner limit is an approximation"
_CLIFF = "Cliff's unbiased variance, asymmetric t interval (Cliff 1996; Feng and Cliff 2004)"


def cliffs_delta(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Effect:
    """Cliff's delta: P(treatment > control) - P(treatment < control) over all pairs of values.

    Interval: Cliff's unbiased variance in the asymmetric interval of Feng and Cliff (2004, JMASM 3), t with n1 +
    n2 - 2 degrees of freedom (R's `effsize::cliff.delta`). At -1 and 1 the variance is 0 and the inner limit is
    (n - t^2) / (n + t^2) with n the smaller sample. Raises StatsError with fewer than two values.
    """
    return _dominance(control, treatment, "cliffs_delta", alpha)


def vargha_delaney_a(control: ArrayLike, treatment: ArrayLike, *, alpha: float = 0.05) -> Effect:
    """Vargha and Delaney's A: P(treatment > control) + P(equal) / 2; (delta + 1) / 2, the interval with it."""
    delta = _dominance(control, treatment, "vargha_delaney_a", alpha)
    assert delta.ci_low is not None
    assert delta.ci_high is not None
    return Effect(
        measure="vargha_delaney_a",
        value=(delta.value + 1) / 2,
        ci_low=(delta.ci_low + 1) / 2,
        ci_high=(delta.ci_high + 1) / 2,
        method=f"(Cliff's delta + 1) / 2; {_CLIFF}",
        n=delta.n,
        magnitude=delta.magnitude,
        alpha=alpha,
        notes=delta.notes,
    )


def rank_biserial(
    control: ArrayLike, treatment: ArrayLike, *, paired: bool = False, alpha: float = 0.05
) -> Effect:
    """The rank-biserial correlation: of Mann-Whitney's test, or with `paired` of Wilcoxon's signed ranks.

    Unpaired it is Cliff's delta, with its interval. Paired it is (W+ - W-) / (W+ + W-) over the pairs that differ
    (Kerby 2014; zeros left out, ties of size share ranks), its interval t on Fisher's z with the standard error of
    the U-statistic of pairs' sums (Sen 1960), at -1 and 1 by Wilson's for n pairs of one sign. R's
    `effectsize::rank_biserial` takes the null's error instead, and covers .88 to .90 at .5. Raises StatsError on
    unequal lengths of pairs, or if no pair differs.
    """
    if not paired:
        return _dominance(control, treatment, "rank_biserial", alpha)
    from scipy.stats import rankdata

    before, after, notes = pairs(control, treatment)
    diff = after - before
    diff = diff[diff != 0]
    n = len(diff)
    if n == 0:
        raise StatsError("no pair differs: the rank-biserial correlation is undefined")
    ranks = rankdata(np.abs(diff))
    total = n * (n + 1) / 2
    value = float(np.sum(np.sign(diff) * ranks)) / total
    if abs(value) == 1:
        limits = _at_the_end(value, n, critical(alpha))
    else:
        half = critical(alpha, n - 1) * _signed_rank_error(diff, value) / (1 - value**2)
        limits = Interval(math.tanh(math.atanh(value) - half), math.tanh(math.atanh(value) + half))
    same = len(before) - n
    return Effect(
        measure="rank_biserial",
        value=value,
        ci_low=limits.low,
        ci_high=limits.high,
        method="matched pairs, zeros left out (Kerby 2014); t on Fisher's z, error of the U-statistic",
        n=len(before),
        magnitude=magnitude(value, ROMANO),
        alpha=alpha,
        notes=notes + ((f"{same} of {len(before)} pairs do not differ and are left out",) if same else ()),
    )


def _signed_rank_error(diff: Floats, value: float) -> float:
    """The standard error of (W+ - W-) / (W+ + W-), from how often each difference outweighs the others."""
    n, ordered = len(diff), np.sort(diff)
    above = n - np.searchsorted(ordered, -diff, side="right")
    below = np.searchsorted(ordered, -diff, side="left")
    signs = (above - below - np.sign(diff)) / (n - 1)
    # A few differences may all outweigh alike; an error of zero is none.
    least = (1 - value**2) / (n * (n + 1) / 2 - 1)
    return math.sqrt(max(4 * float(signs.var(ddof=1)) / n, least))


def _dominance(control: ArrayLike, treatment: ArrayLike, measure: str, alpha: float) -> Effect:
    before, after, notes = two_samples(control, treatment)
    n1, n2 = len(after), len(before)
    above, below = _row_means(after, before), -_row_means(before, after)
    delta = float(math.fsum(above) / n1)
    t = critical(alpha, n1 + n2 - 2)
    if abs(delta) == 1:
        limits = _at_the_end(delta, min(n1, n2), t)
    else:
        # Of the dominance matrix of -1, 0 and 1, without building it.
        unequal = float(np.sum(_decided(after, before)))
        spread = unequal - n1 * n2 * delta**2
        rows, columns = math.fsum((above - delta) ** 2), math.fsum((below - delta) ** 2)
        variance = (n2**2 * rows + n1**2 * columns - spread) / (n1 * n2 * (n1 - 1) * (n2 - 1))
        variance = max(variance, (1 - delta**2) / (n1 * n2 - 1))
        limits = _asymmetric(delta, math.sqrt(variance), t)
    return Effect(
        measure=measure,
        value=delta,
        ci_low=limits.low,
        ci_high=limits.high,
        method=f"P(treatment > control) - P(treatment < control); {_CLIFF}",
        n=n1 + n2,
        magnitude=magnitude(delta, ROMANO),
        alpha=alpha,
        notes=notes + ((_APART,) if abs(delta) == 1 else ()),
    )


def _row_means(rows: Floats, others: Floats) -> Floats:
    """For each of `rows`, the share of `others` below it minus the share above it."""
    ordered = np.sort(others)
    less = np.searchsorted(ordered, rows, side="left")
    more = len(others) - np.searchsorted(ordered, rows, side="right")
    means: Floats = (less - more) / len(others)
    return means


def _decided(rows: Floats, others: Floats) -> Floats:
    """For each of `rows`, how many of `others` differ from it."""
    ordered = np.sort(others)
    equal = np.searchsorted(ordered, rows, side="right") - np.searchsorted(ordered, rows, side="left")
    return np.asarray(len(others) - equal, np.float64)


def _asymmetric(delta: float, se: float, t: float) -> Interval:
    root = t * se * math.sqrt((1 - delta**2) ** 2 + t**2 * se**2)
    below = 1 - delta**2 + t**2 * se**2
    low, high = ((delta - delta**3 + sign * root) / below for sign in (-1, 1))
    return Interval(max(low, -1.0), min(high, 1.0))


def _at_the_end(value: float, n: int, critical_value: float) -> Interval:
    inner = (n - critical_value**2) / (n + critical_value**2)
    return Interval(inner, 1.0) if value > 0 else Interval(-1.0, -inner)
