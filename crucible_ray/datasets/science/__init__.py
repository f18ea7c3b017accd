"""The science set: 700 multiple-choice items on arithmetic, physics, chemistry, biology and astronomy.

Twenty items of each of 35 kinds, made here and shipped as `science.jsonl`; each is computed, its wrong choices
are what common errors give. `python -m crucible_ray.datasets.science` prints the file, byte for byte.
"""

from __future__ import annotations

from crucible_ray.datasets.science import arithmetic, astronomy, biology, chemistry, physics
from crucible_ray.datasets.science.making import items_of
from crucible_ray.records import Item

__all__ = ["science_items"]

_TOPICS = {
    "arithmetic": arithmetic.KINDS,
    "physics": physics.KINDS,
    "chemistry": chemistry.KINDS,
    "biology": biology.KINDS,
    "astronomy": astronomy.KINDS,
}


def science_items() -> list[Item]:
    """The items, the same on every machine; ids are `topic/kind/level`, the easiest of a kind first."""
    return [
        item
        for topic, kinds in _TOPICS.items()
        for kind, make in kinds.items()
        for item in items_of(topic, kind, make)
    ]
