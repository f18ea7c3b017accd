"""Warnings while a run goes on: each thing that is amiss with the answers is said once, as soon as it shows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pyarrow as pa

from crucible_ray.experiment.blinding import hidden
from crucible_ray.experiment.plan import Plan
from crucible_ray.metrics.silence import Silence, Silences
from crucible_ray.records import Item


class Warnings:
    """Counts rows as they arrive."""

    def __init__(self, plan: Plan, items: tuple[Item, ...]) -> None:
        self._silences = Silences(hidden(plan) if plan.blind else plan, items)
        self._told: set[tuple[str, str, str | None]] = set()

    def listening(self, other: Callable[[pa.Table], None] | None) -> Callable[[pa.Table], None]:
        """Takes every table of rows, and passes it on."""

        def take(table: pa.Table) -> None:
            self._silences.add(table)
            if other is not None:
                other(table)

        return take

    def due(self) -> Iterator[Silence]:
        """What has not been said yet; it counts as said."""
        for found in self._silences.found():
            which = found.kind, found.condition, found.member
            if which not in self._told:
                self._told.add(which)
                yield found
