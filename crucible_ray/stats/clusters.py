"""Mean paired differences where items are not the unit: clusters above them, or this benchmark's repeats alone."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.inputs import item_differences, item_means
from crucible_ray.stats.result import Floats, TestResult, over_error, undefined

FEW_CLUSTERS = 10


def cluster_robust_difference(diff_I: Floats, clusters: ArrayLike, *, alpha: float = 0.05) -> TestResult:
    """The mean of item differences with clusters above items: CR2 and Satterthwaite's degrees of freedom.

    Bell and McCaffrey's bias-reduced variance (2002) of the mean over all items, working model: independence; with
    clusters of one size this is t on cluster means (Pustejovsky and Tipton 2018, JBES 36, here for an
    intercept alone). diff_I: shape [items], no NaN; clusters: a label per item. Raises StatsError with fewer than
    two clusters.
    """
    _, codes = np.unique(np.asarray(clusters), return_inverse=True)
    sizes = np.bincount(codes).astype(np.float64)
    groups, n = len(sizes), len(diff_I)
    if groups < 2:
        raise StatsError(f"clusters need two or more to tell how they vary; here there is {groups}")
    mean = math.fsum(diff_I) / n
    sums = np.bincount(codes, weights=diff_I - mean)
    shares = sizes / n
    variance = math.fsum(sums**2 / (1 - shares)) / n**2
    few = (
        (f"{groups} clusters: with fewer than {FEW_CLUSTERS} the interval is rough",)
        if groups < FEW_CLUSTERS
        else ()
    )
    if math.sqrt(variance) <= 1e-14 * float(np.abs(diff_I).max()):
        note = "every cluster has the same mean difference: there is no spread to judge it by"
        return undefined("cluster_t", estimate=mean, n=groups, note=note, alpha=alpha)
    scaled = shares**2 / (1 - shares)
    off = math.fsum(scaled) ** 2 - math.fsum(scaled**2)
    df = 1 / (math.fsum(shares**2) + off)
    return over_error(
        "cluster_t",
        mean,
        math.sqrt(variance),
        df,
        n=groups,
        assumptions=("clusters are independent of one another", "the mean over clusters is near normal"),
        notes=(f"{n} items in {groups} clusters", *few),
        alpha=alpha,
    )


def benchmark_difference(control_IR: Floats, treatment_IR: Floats, *, alpha: float = 0.05) -> TestResult:
    """The mean difference on these items alone: repeats vary, items are fixed.

    The variance is the sum over items and conditions of s^2 / R, over items squared; t has Satterthwaite's degrees of
    freedom. It says nothing about other items. Raises StatsError where no item has two repeats, since then nothing
    tells how repeats vary; items with one repeat in a condition are given the mean variance of that condition.
    """
    diff = item_differences(control_IR, treatment_IR)
    kept = ~np.isnan(diff)
    n = int(kept.sum())
    if n == 0:
        raise StatsError("no item was answered under both conditions")
    mean = math.fsum(diff[kept]) / n
    parts = [_repeat_variances(table[kept]) for table in (control_IR, treatment_IR)]
    variance = math.fsum(math.fsum(terms) for terms, _ in parts) / n**2
    if variance == 0.0:
        note = "repeats never differ within an item: on these items the difference is what it is"
        return undefined("benchmark_t", estimate=mean, n=n, note=note, alpha=alpha)
    weights = math.fsum(math.fsum(terms**2 / df) for terms, df in parts) / n**4
    return over_error(
        "benchmark_t",
        mean,
        math.sqrt(variance),
        variance**2 / weights,
        n=n,
        alpha=alpha,
        assumptions=("repeats are independent of one another", "the mean is near normal"),
        notes=("about these items alone: nothing is said of others like them",),
    )


def _repeat_variances(table: Floats) -> tuple[Floats, Floats]:
    """Each item's variance of its mean over repeats, and its degrees of freedom, shape [items]."""
    present = ~np.isnan(table)
    repeats = present.sum(axis=1).astype(np.float64)
    centred = np.where(present, table - item_means(table)[:, None], 0.0)
    squares = (centred**2).sum(axis=1)
    several = repeats > 1
    if not several.any():
        raise StatsError('population="benchmark" needs two repeats or more of an item to tell how they vary')
    within = np.zeros(len(table))
    np.divide(squares, repeats - 1, out=within, where=several)
    within[~several] = squares[several].sum() / (repeats[several] - 1).sum()
    return within / repeats, np.where(several, repeats - 1, 1.0)
