"""Runs that may stop early, whatever goes wrong."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np

from crucible_ray.reduction.peeking import Sequence
from tests.simulation.scenario import Violation
from tests.simulation.stopping import play_stopping

SEEDS = 10


def test_a_run_stops_only_where_its_rows_in_the_seeded_order_say_so() -> None:
    ends = [play_stopping(seed).ended for seed in range(SEEDS)]
    assert {"stopped", "complete"} == set(ends)


def test_counting_items_as_they_end_fails_a_seed() -> None:
    advance = Sequence._advance

    def as_they_end(self: Sequence) -> None:
        done = np.flatnonzero(self.complete[self._ranked[self.items :]]) + self.items
        rest = np.setdiff1d(np.arange(self.items, self.plan.items), done)
        self._ranked = self._ranked[np.concatenate([np.arange(self.items), done, rest])]
        advance(self)

    failed = []
    with patch.object(Sequence, "_advance", as_they_end):
        for seed in range(SEEDS):
            try:
                play_stopping(seed)
            except Violation as violation:
                failed.append(str(violation))
                break
    assert failed
