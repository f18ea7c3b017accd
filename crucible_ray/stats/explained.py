"""How much of the spread lies between groups: eta, omega and epsilon squared, Kendall's W, Cramer's V.

Eta, omega and epsilon squared of an analysis of variance estimate one quantity, the share that the groups explain
in the population; its interval is that of the noncentrality lambda of F, lambda / (lambda + N) (Steiger 2004,
Psychological Methods 9, eq. 15). It starts at 0 where F is not significant at alpha / 2.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from crucible_ray.errors import StatsError
from crucible_ray.stats.distributions import check_level
from crucible_ray.stats.effect import Effect
from crucible_ray.stats.inputs import BINARY, blocks, counts, is_binary, several
from crucible_ray.stats.noncentral import chi_square_noncentrality, f_noncentrality
from crucible_ray.stats.result import Floats, Interval

_STEIGER = "noncentral F, lambda / (lambda + N) (Steiger 2004)"
_RESAMPLES = 2_000
_BOOTSTRAP = f"percentile bootstrap, {_RESAMPLES} resamples"


class _Variance(NamedTuple):
    """A one-way analysis of variance."""

    between: float
    within: float
    df1: int
    df2: int
    n: int
    f: float


def eta_squared(*groups: ArrayLike, alpha: float = 0.05) -> Effect:
    """Eta squared of independent groups: SS between / SS total; biased upwards in small samples.

    Raises StatsError with fewer than two groups or values in one, or no spread within the groups.
    """
    found, notes = _variance(groups)
    value = found.between / (found.between + found.within)
    return _explained("eta_squared", value, found, "SS between / SS total", alpha, notes)


def omega_squared(*groups: ArrayLike, alpha: float = 0.05) -> Effect:
    """Omega squared of independent groups: (SSb - df_b MSw) / (SSt + MSw); may fall below 0 (Hays 1963)."""
    found, notes = _variance(groups)
    ms = found.within / found.df2
    value = (found.between - found.df1 * ms) / (found.between + found.within + ms)
    return _explained(
        "omega_squared", value, found, "(SS between - df MS within) / (SS total + MS within)", alpha, notes
    )


def epsilon_squared(
    *groups: ArrayLike,
    variant: Literal["anova", "kruskal_wallis"] = "anova",
    alpha: float = 0.05,
    seed: int = 0,
) -> Effect:
    """Epsilon squared of independent groups.

    `anova`: (SSb - df_b MSw) / SSt, the adjusted R squared (Kelley 1935). `kruskal_wallis`: H / (N - 1) with H
    corrected for ties (Tomczak and Tomczak 2014), its interval by a seeded percentile bootstrap within groups.
    Raises StatsError as `eta_squared` does, or on another variant.
    """
    if variant == "kruskal_wallis":
        return _rank_epsilon(groups, alpha, seed)
    if variant != "anova":
        raise StatsError(f"epsilon_squared has no variant {variant!r}: anova or kruskal_wallis")
    found, notes = _variance(groups)
    ms = found.within / found.df2
    value = (found.between - found.df1 * ms) / (found.between + found.within)
    return _explained("epsilon_squared", value, found, "(SS between - df MS within) / SS total", alpha, notes)


def kendalls_w(*groups: ArrayLike, alpha: float = 0.05, seed: int = 0) -> Effect:
    """Kendall's W of conditions over the same items: how far items agree on the order of the conditions.

    Friedman's chi-square / (n (k - 1)), corrected for ties. Interval: a seeded percentile bootstrap over items.
    Raises StatsError on unequal lengths, or where every item gives all conditions the same value.
    """
    check_level(alpha)
    values_IC, notes = blocks(groups)
    ranks_IC = _ranks_by_item(values_IC)
    value = _concordance(ranks_IC)
    if math.isnan(value):
        raise StatsError("no item tells the conditions apart: Kendall's W is undefined")
    n = len(ranks_IC)
    limits, said = _bootstrap(lambda rng: _concordance(ranks_IC[rng.integers(0, n, n)]), alpha, seed)
    return Effect(
        measure="kendalls_w",
        value=value,
        ci_low=limits.low,
        ci_high=limits.high,
        method=f"Friedman's chi-square / (n (k - 1)), tie-corrected; {_BOOTSTRAP} of items",
        n=n,
        alpha=alpha,
        notes=(*notes, said),
    )


def cramers_v(table: ArrayLike, *, alpha: float = 0.05) -> Effect:
    """Cramer's V of a table of counts: sqrt(chi-square / (N (min(rows, columns) - 1))), uncorrected.

    Pearson's chi-square without continuity correction, no bias correction. Interval: noncentral chi-square,
    sqrt(lambda / (N (min - 1))). Raises StatsError on a table with an empty row or column, or with no counts.
    """
    observed = counts(table)
    n = float(observed.sum())
    expected = np.outer(observed.sum(axis=1), observed.sum(axis=0)) / n
    chi_square = math.fsum(((observed - expected) ** 2 / expected).ravel())
    rows, columns = observed.shape
    scale = n * (min(rows, columns) - 1)
    limits = chi_square_noncentrality(chi_square, (rows - 1) * (columns - 1), alpha)
    small = float(expected.min())
    return Effect(
        measure="cramers_v",
        value=math.sqrt(chi_square / scale),
        ci_low=math.sqrt(limits.low / scale),
        ci_high=min(math.sqrt(limits.high / scale), 1.0),
        method="Pearson's chi-square, no correction; noncentral chi-square interval",
        n=round(n),
        alpha=alpha,
        notes=(f"the smallest expected count is {small:.2g}: the interval is rough below 5",)
        if small < 5
        else (),
    )


def _variance(groups: tuple[ArrayLike, ...]) -> tuple[_Variance, tuple[str, ...]]:
    parts, notes = several(groups)
    everything = np.concatenate(parts)
    n, k = len(everything), len(parts)
    # Far from zero, squares of the raw values would lose the digits that matter.
    centre = math.fsum(everything) / n
    means = [math.fsum(part - centre) / len(part) for part in parts]
    between = math.fsum(len(part) * mean**2 for part, mean in zip(parts, means, strict=True))
    within = math.fsum(
        math.fsum((part - centre - mean) ** 2) for part, mean in zip(parts, means, strict=True)
    )
    if within <= 1e-28 * n * float(np.abs(everything).max()) ** 2:
        raise StatsError("the groups have no spread within: the share they explain is undefined")
    f = (between / (k - 1)) / (within / (n - k))
    if is_binary(everything):
        notes += (BINARY.format("cramers_v"),)
    return _Variance(between, within, k - 1, n - k, n, f), notes


def _explained(
    measure: str, value: float, found: _Variance, how: str, alpha: float, notes: tuple[str, ...]
) -> Effect:
    limits = f_noncentrality(found.f, found.df1, found.df2, alpha)
    return Effect(
        measure=measure,
        value=value,
        ci_low=limits.low / (limits.low + found.n),
        ci_high=limits.high / (limits.high + found.n),
        method=f"{how}; {_STEIGER}",
        n=found.n,
        alpha=alpha,
        notes=notes,
    )


def _rank_epsilon(groups: tuple[ArrayLike, ...], alpha: float, seed: int) -> Effect:
    parts, notes = several(groups)
    value, n = _kruskal(parts), sum(map(len, parts))
    if math.isnan(value):
        raise StatsError("all values are equal: epsilon squared is undefined")
    limits, said = _bootstrap(
        lambda rng: _kruskal([part[rng.integers(0, len(part), len(part))] for part in parts]), alpha, seed
    )
    return Effect(
        measure="epsilon_squared",
        value=value,
        ci_low=limits.low,
        ci_high=limits.high,
        method=f"Kruskal-Wallis H / (N - 1), tie-corrected; {_BOOTSTRAP} within groups",
        n=n,
        alpha=alpha,
        notes=(*notes, said),
    )


def _kruskal(parts: list[Floats]) -> float:
    """H / (N - 1): the share of the ranks' spread that lies between groups; NaN where all values are equal."""
    from scipy.stats import rankdata

    ranks = rankdata(np.concatenate(parts))
    ranks -= ranks.mean()
    total = float(ranks @ ranks)
    if total == 0:
        return math.nan
    ends = np.cumsum([len(part) for part in parts])[:-1]
    return math.fsum(float(part.sum()) ** 2 / len(part) for part in np.split(ranks, ends)) / total


def _ranks_by_item(values_IC: Floats) -> Floats:
    from scipy.stats import rankdata

    centred: Floats = rankdata(values_IC, axis=1) - (values_IC.shape[1] + 1) / 2
    return centred


def _concordance(ranks_IC: Floats) -> float:
    """Between conditions over total spread of the items' centred ranks; NaN where all are tied."""
    total = float((ranks_IC**2).sum())
    if total == 0:
        return math.nan
    return float((ranks_IC.sum(axis=0) ** 2).sum()) / len(ranks_IC) / total


def _bootstrap(draw: Callable[[np.random.Generator], float], alpha: float, seed: int) -> tuple[Interval, str]:
    """Percentile limits of a quantity that is never below 0, which the interval can therefore not reach."""
    rng = np.random.default_rng(seed)
    drawn = np.array([draw(rng) for _ in range(_RESAMPLES)])
    kept = drawn[~np.isnan(drawn)]
    low, high = np.quantile(kept, (alpha / 2, 1 - alpha / 2))
    note = "the interval never reaches 0: it does not test whether there is any effect"
    return Interval(float(low), float(high)), note
