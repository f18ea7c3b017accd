"""Who gets what next: trials by pace, money by trials, suspects alone."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from crucible_ray.calls.budget import Ledger
from crucible_ray.experiment.grid import Order
from crucible_ray.journal.trials import TrialSet
from crucible_ray.records import Grant, Report
from crucible_ray.runtime.frontier import Frontier
from crucible_ray.runtime.granting import Granting
from crucible_ray.runtime.lanes import Lanes

BOUNDS = (0.01, 0.03)


def granting(
    *,
    blocks: int = 100,
    limit: float = inf,
    each: float = inf,
    window: int = 8,
    clients: int = 1,
    lanes: Lanes = ((0, 1),),
    lead: int | None = None,
) -> tuple[Granting, Frontier, Ledger]:
    order = Order(blocks=blocks, conditions=2, seed=1, randomize=False)
    frontier = Frontier(order=order, lanes=lanes, done=TrialSet(), lead=lead)
    ledger = Ledger(limit_usd=limit, condition_limit_usd=each, conditions=2, scale_usd=1.0)
    windows = (window,) * len(lanes)
    return (
        Granting(frontier, ledger, clients=clients, windows=windows, bounds_usd=BOUNDS),
        frontier,
        ledger,
    )


def trials_of(grants: list[Grant]) -> list[int]:
    spans = [t for g in grants for start, stop in g.spans for t in range(2 * start, 2 * stop)]
    return spans + [t for g in grants for t in g.trials]


def report(**changes: object) -> Report:
    fields: dict[str, object] = {
        "number": 1,
        "generation": 0,
        "rows": b"",
        "unstarted": (0,),
        "in_flight": (0,),
        "spent_usd": (0.0, 0.0),
        "released_usd": (0.0, 0.0),
        "wanted_usd": (0.0, 0.0),
    }
    return Report(**(fields | changes))  # type: ignore[arg-type]


def test_a_grant_comes_with_the_money_that_its_trials_need_at_most() -> None:
    core, _, ledger = granting()
    grants, amounts = core.work(0)
    blocks = len(trials_of(grants)) // 2
    assert blocks >= 4
    assert amounts == pytest.approx([blocks * 0.01, blocks * 0.03])
    assert ledger.committed_usd == pytest.approx(blocks * 0.04)


def test_whole_blocks_are_granted_until_the_budget_covers_none_and_then_single_trials() -> None:
    core, frontier, ledger = granting(limit=0.09)
    grants, amounts = core.work(0)
    assert trials_of(grants) == [0, 1, 2, 3, 4]
    assert amounts == pytest.approx([0.03, 0.06])
    assert ledger.committed_usd == pytest.approx(0.09)
    core.heard(0, report(), [0], now_s=1.0)
    assert core.work(0)[0] == []
    assert not core.affords_anything()
    assert frontier.has_work(0)


def test_a_conditions_spent_share_stops_its_trials_and_not_the_sum_alone() -> None:
    core, _, _ = granting(each=0.06)
    grants, amounts = core.work(0)
    assert trials_of(grants) == [0, 1, 2, 3, 4]
    assert amounts == pytest.approx([0.03, 0.06])
    assert not core.affords_anything()


def test_lanes_that_may_not_get_far_ahead_share_what_money_there_is_for_pairs() -> None:
    core, _, _ = granting(limit=0.16, window=64, lanes=((0,), (1,)), lead=1)
    trials = [t for grant in core.work(0)[0] for span in grant.spans for t in range(*span)]
    lanes = [grant.lane for grant in core.work(0)[0]]
    assert lanes == []
    assert sorted(trials) == [0, 0, 1, 1, 2, 2, 3, 3]
    alone, _, _ = granting(limit=0.16, window=64, lanes=((0,), (1,)))
    assert {grant.lane for grant in alone.work(0)[0]} == {0}


def test_a_lane_that_waits_for_another_is_filled_as_soon_as_that_one_went_on() -> None:
    core, _, _ = granting(window=16, lanes=((0,), (1,)), lead=2)
    grants, _ = core.work(0)
    counts = [sum(stop - start for g in grants if g.lane == k for start, stop in g.spans) for k in (0, 1)]
    free, _, _ = granting(window=16, lanes=((0,), (1,)))
    wanted = sum(stop - start for g in free.work(0)[0] if g.lane == 0 for start, stop in g.spans)
    assert counts == [wanted, wanted]


def test_money_that_comes_back_is_granted_again() -> None:
    core, _, ledger = granting(limit=0.04)
    core.work(0)
    assert not core.affords_anything()
    core.heard(0, report(spent_usd=(0.001, 0.002), released_usd=(0.009, 0.028)), [2], now_s=1.0)
    assert ledger.spent_usd == pytest.approx(0.003)
    assert core.affords_anything()


def test_a_call_that_cost_more_than_its_bound_takes_nothing_from_what_others_hold() -> None:
    core, _, ledger = granting(clients=2)
    held = [sum(core.work(client)[1]) for client in (0, 1)]
    assert min(held) > 0.0
    core.heard(0, report(spent_usd=(0.0, 5.0)), [1], now_s=1.0)
    assert ledger.spent_usd == 5.0
    assert sum(ledger.outstanding) >= held[1]


def test_a_call_that_waits_for_money_is_served_before_new_trials() -> None:
    core, _, _ = granting(limit=0.12)
    core.work(0)
    core.heard(0, report(in_flight=(6,), released_usd=(0.03, 0.0), wanted_usd=(0.0, 0.03)), [0], now_s=1.0)
    _, amounts = core.work(0)
    assert amounts[1] >= 0.03


def test_money_is_refused_only_when_everything_in_flight_waits_for_it_in_vain() -> None:
    core, _, _ = granting(limit=0.04)
    core.work(0)
    core.heard(0, report(in_flight=(2,), waiting=1, wanted_usd=(0.0, 0.03)), [0], now_s=1.0)
    assert not core.must_refuse()
    core.heard(0, report(in_flight=(1,), waiting=1, wanted_usd=(0.0, 0.03)), [0], now_s=1.0)
    assert core.must_refuse()


def test_money_that_was_granted_and_not_yet_heard_of_is_not_refused() -> None:
    core, _, _ = granting(limit=1.0)
    core.work(0)
    core.heard(0, report(in_flight=(1,), waiting=1, wanted_usd=(0.0, 0.03)), [0], now_s=1.0)
    assert core.work(0)[1][1] >= 0.03
    assert not core.must_refuse()


def test_a_client_with_suspects_gets_nothing_else_until_they_are_done() -> None:
    core, frontier, _ = granting(blocks=3, clients=2)
    for _ in range(2):
        core.work(0)
        core.died(0)
    assert frontier.next_suspects()
    for _ in range(6):
        grants, _ = core.work(0)
        alone = trials_of(grants)
        assert len(alone) == 1
        assert core.work(0)[0] == []
        assert core.low_water(0) == (-1,)
        frontier.finish(0, np.array(alone, np.int64))
    assert core.work(0) == ([], [0.0, 0.0])
    assert frontier.complete


def test_a_trial_that_kills_its_client_alone_three_times_is_named() -> None:
    core, frontier, _ = granting(blocks=1)
    named: list[int] = []
    for _ in range(8):
        grants, _ = core.work(0)
        trials = trials_of(grants)
        if 1 in trials:
            named += core.died(0)
        else:
            frontier.finish(0, np.array(trials, np.int64))
        if named:
            break
    assert named == [1]
    assert 0 in frontier.done
