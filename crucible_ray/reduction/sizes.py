"""Which effect sizes belong to a design and an outcome; of one that the data leave undefined it is said why."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from crucible_ray.errors import StatsError
from crucible_ray.stats.dominance import cliffs_delta, rank_biserial, vargha_delaney_a
from crucible_ray.stats.effect import Effect
from crucible_ray.stats.explained import cramers_v, eta_squared, kendalls_w
from crucible_ray.stats.inputs import is_binary, item_means, means_of
from crucible_ray.stats.ratios import cohens_h, odds_ratio, risk_ratio
from crucible_ray.stats.result import Floats
from crucible_ray.stats.standardised import cohens_dz, hedges_g

_Size = Callable[..., Effect]
Sizes = tuple[tuple[Effect, ...], tuple[str, ...]]
"""The sizes, and what is to be said of those that are undefined."""


def two_sizes(tables: Sequence[Floats], *, paired: bool, kind: str | None, alpha: float) -> Sizes:
    """Of the second beside the first, tables of items by repeats; of paired data none that takes them for independent."""
    before, after = means_of(*tables, paired=paired)
    if paired:
        kept = ~np.isnan(before) & ~np.isnan(after)
        before, after = before[kept], after[kept]
    else:
        before, after = before[~np.isnan(before)], after[~np.isnan(after)]
    sizes: tuple[_Size, ...]
    if is_binary(before, after):
        sizes = (_of_pairs,) if paired else (cohens_h, risk_ratio, odds_ratio)
    elif kind == "ordinal":
        sizes = (_of_pairs,) if paired else (cliffs_delta, vargha_delaney_a)
    else:
        sizes = (cohens_dz,) if paired else (hedges_g, cliffs_delta)
    return _defined(sizes, (before, after), alpha)


def _of_pairs(control: Floats, treatment: Floats, *, alpha: float) -> Effect:
    """Of 0 and 1 it is (won - lost) / (won + lost) over the items that differ."""
    return rank_biserial(control, treatment, paired=True, alpha=alpha)


def several_sizes(tables: Sequence[Floats], *, paired: bool, kind: str | None, alpha: float) -> Sizes:
    """Of three conditions or more together."""
    means = [item_means(table) for table in tables]
    if paired:
        return _defined((kendalls_w,), means, alpha)
    means = [column[~np.isnan(column)] for column in means]
    if is_binary(*means):
        counts = [[float(column.sum()), float(len(column) - column.sum())] for column in means]
        return _defined((cramers_v,), (counts,), alpha)
    return _defined((eta_squared,), means, alpha)


def _defined(sizes: Sequence[_Size], samples: Sequence[object], alpha: float) -> Sizes:
    found, notes = [], []
    for size in sizes:
        try:
            found.append(size(*samples, alpha=alpha))
        except StatsError as undefined:
            name = "rank_biserial" if size is _of_pairs else size.__name__
            notes.append(f"no {name}: {undefined}")
    return tuple(found), tuple(notes)
