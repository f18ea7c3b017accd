"""Conditions of logs as tables over the items that all of them have."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crucible_ray.errors import StatsError, UsageError
from crucible_ray.importing.joining import Joined
from crucible_ray.importing.log import Codes
from crucible_ray.stats.layout import by_item
from crucible_ray.stats.result import Floats


class Shared(NamedTuple):
    """Tables of [items, repeats], one for each condition, NaN where there is no value."""

    tables: list[Floats]
    matched: Codes
    """The items of the rows, where conditions are paired: those with a value in every condition."""
    items: int
    """How many there are in all."""
    strata: Codes | None
    """Of the rows; None where all are in one."""
    clusters: Codes | None


def lay_out(joined: Joined) -> Shared:
    """The values of the items that every condition has a value for; of groups that are not paired, of all.

    Raises StatsError with fewer than two shared items, UsageError where an item is in two strata or clusters.
    """
    size = 1 + max(int(condition.items.max()) for condition in joined.conditions)
    everything = np.flatnonzero(sum(present(condition.items, size) for condition in joined.conditions))
    if not joined.paired:
        tables = [by_item(each.values[:, None], each.items) for each in joined.conditions]
        return Shared(tables, everything, len(everything), None, None)
    answered = [present(each.items[~np.isnan(each.values)], size) for each in joined.conditions]
    in_all = np.logical_and.reduce(answered)
    matched = np.flatnonzero(in_all)
    if len(matched) < 2:
        raise StatsError(
            f"a paired comparison needs two items with a value in every condition; of {len(everything):,} "
            f"there are {len(matched)}. See that the logs are whole, and of the same items."
        )
    tables = []
    strata, clusters = (np.full(len(matched), -1, np.int64) for _ in range(2))
    for condition in joined.conditions:
        kept = in_all[condition.items]
        places = np.searchsorted(matched, condition.items[kept])
        tables.append(by_item(condition.values[kept][:, None], places, len(matched)))
        _label(strata, condition.strata[kept], places, "strata")
        _label(clusters, condition.clusters[kept], places, "clusters")
    return Shared(tables, matched, len(everything), _if_several(strata), _if_several(clusters))


def present(items: Codes, size: int) -> NDArray[np.bool_]:
    """Of each number below `size`, whether it is among the items."""
    found = np.zeros(size, np.bool_)
    found[items] = True
    return found


def _label(found: Codes, labels: Codes, places: Codes, name: str) -> None:
    """Give each item its label. Raises UsageError where it has two."""
    before = found[places]
    found[places] = labels
    if (found[places] != labels).any() or ((before >= 0) & (before != labels)).any():
        raise UsageError(f"an item is in two {name}: each has one. See that its rows agree in that column.")


def _if_several(labels: Codes) -> Codes | None:
    return None if np.ptp(labels) == 0 else labels
