"""Samples that nest: a larger one contains the smaller, so that a run grows without asking anything twice."""

from __future__ import annotations

from crucible_ray.experiment.grid import derive
from crucible_ray.records import Item


def nested_sample(items: list[Item], size: int, seed: int) -> list[Item]:
    """`size` items, drawn by a keyed hash of their ids, in the source's order; all where there are fewer.

    Which items are drawn depends on their ids and the seed alone, not on what else the source holds before
    them.
    """
    if size >= len(items):
        return items
    drawn = sorted(range(len(items)), key=lambda at: (derive(seed, "sample", items[at].id), items[at].id))
    return [items[at] for at in sorted(drawn[:size])]
