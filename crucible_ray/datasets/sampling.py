"""Samples that nest: a larger one contains the smaller, so that a run grows without asking anything twice."""

from __future__ import annotations

from crucible_ray.experiment.grid import derive
from crucible_ray.experiment.prompting import question_of
from crucible_ray.records import Item

_POOL = 64
"""Examples to draw from, at most, unless more are shown at once: they travel with the plan."""


def nested_sample(items: list[Item], size: int, seed: int) -> list[Item]:
    """`size` items, drawn by a keyed hash of their ids, in the source's order; all where there are fewer.

    Which items are drawn depends on their ids and the seed alone, not on what else the source holds before
    them.
    """
    if size >= len(items):
        return items
    drawn = sorted(range(len(items)), key=lambda at: (derive(seed, "sample", items[at].id), items[at].id))
    return [items[at] for at in sorted(drawn[:size])]


def example_pool(items: list[Item], k: int, seed: int) -> list[Item]:
    """What `k` examples are drawn from: those that a sample by this seed takes last.

    items: all, before sampling. Half of what has an answer and a question of its own, at most 64, at least one
    more than is shown: the item itself is never its own example.
    """
    order = sorted(items, key=lambda item: (derive(seed, "sample", item.id), item.id), reverse=True)
    distinct: dict[str, Item] = {}
    for item in order:
        if item.expected is not None:
            distinct.setdefault(question_of(item), item)
    size = max(k + 1, min(_POOL, len(distinct) // 2))
    return list(distinct.values())[:size]
