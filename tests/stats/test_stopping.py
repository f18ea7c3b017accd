"""Items of runs that may stop early, against the sequences' own plans."""

from __future__ import annotations

import pytest

from crucible_ray.errors import StatsError
from crucible_ray.stats import group_sequential, items_for_support
from crucible_ray.stats.stopping import stopping_items

LOOKS = (0.2, 0.4, 0.6, 0.8, 1.0)


def test_five_looks_ask_the_mean_items_that_their_plan_promises() -> None:
    plan = group_sequential(5)
    fixed = items_for_support("superiority", 0.0, effect=0.06, discordant=0.15)
    assert fixed is not None
    n = round(fixed * plan.inflation)
    found = stopping_items("superiority", 0.0, n=n, effect=0.06, discordant=0.15, looks=LOOKS)
    assert found.expected / fixed == pytest.approx(plan.expected, abs=0.04)
    assert found.decided == pytest.approx(0.8, abs=0.04)
    assert found.largest == n


def test_a_betting_sequence_asks_far_less_at_twice_the_effect_and_all_where_nothing_is_to_find() -> None:
    fixed = items_for_support("superiority", 0.0, effect=0.05, discordant=0.15)
    assert fixed is not None
    planned, twice, none = (
        stopping_items("superiority", 0.0, n=3 * fixed, effect=effect, discordant=0.15)
        for effect in (0.05, 0.10, 0.0)
    )
    assert 1.0 < planned.expected / fixed < 1.6  # 1.21 to 1.39 over several designs, docs/statistics.md
    assert 0.2 < twice.expected / fixed < 0.45
    assert none.decided < 0.05
    assert none.expected > 0.95 * 3 * fixed


def test_impossible_designs_are_refused() -> None:
    with pytest.raises(StatsError, match="impossible"):
        stopping_items("superiority", 0.0, n=10, effect=0.3, discordant=0.1)
