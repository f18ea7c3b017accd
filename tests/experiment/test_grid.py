"""The seeded order of a grid that is never listed."""

from __future__ import annotations

import numpy as np
import pytest

from crucible_ray.experiment.grid import Order, derive


@pytest.mark.parametrize("blocks", [1, 2, 3, 7, 64, 65, 1000, 4097])
@pytest.mark.parametrize("randomize", [True, False])
def test_every_block_stands_at_exactly_one_rank(blocks: int, randomize: bool) -> None:
    order = Order(blocks=blocks, conditions=3, seed=4, randomize=randomize)
    ranks = np.arange(blocks, dtype=np.int64)
    at = order.blocks_at(ranks)
    assert sorted(at.tolist()) == list(range(blocks))
    assert (order.ranks_of(at) == ranks).all()


def test_positions_count_the_trials_in_planned_order() -> None:
    order = Order(blocks=257, conditions=3, seed=9)
    trials = order.trials_at(np.arange(257, dtype=np.int64)).ravel()
    assert sorted(trials.tolist()) == list(range(3 * 257))
    assert (order.positions_of(trials) == np.arange(3 * 257)).all()


def test_a_grid_without_randomisation_runs_as_it_is_numbered() -> None:
    order = Order(blocks=5, conditions=2, seed=1, randomize=False)
    assert order.trials_at(np.arange(5, dtype=np.int64)).ravel().tolist() == list(range(10))


def test_seeds_give_different_orders_and_the_same_seed_the_same_one() -> None:
    ranks = np.arange(1000, dtype=np.int64)
    first, again, other = (Order(blocks=1000, conditions=2, seed=s).blocks_at(ranks) for s in (1, 1, 2))
    assert (first == again).all()
    assert (first == other).mean() < 0.01


def test_conditions_of_a_block_are_started_in_both_orders_about_equally_often() -> None:
    order = Order(blocks=10_000, conditions=2, seed=3)
    first = order.conditions_of(np.arange(10_000, dtype=np.int64))[:, 0]
    assert first.mean() == pytest.approx(0.5, abs=0.02)


def test_a_billion_blocks_cost_no_list() -> None:
    order = Order(blocks=10**9, conditions=2, seed=3)
    ranks = np.array([0, 1, 10**9 - 1], np.int64)
    assert (order.ranks_of(order.blocks_at(ranks)) == ranks).all()


def test_derived_keys_are_the_same_on_every_machine() -> None:
    assert derive(42, "order", 0) == derive(42, "order", 0)
    assert derive(42, "order", 0) != derive(42, "order", 1) != derive(43, "order", 1)
    assert derive(42, "order", 0) == 13119487140970941462
