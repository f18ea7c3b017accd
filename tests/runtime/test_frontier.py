"""Which trials are done, which are with whom, and which go next."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from crucible_ray.experiment.grid import Order
from crucible_ray.journal.trials import TrialSet
from crucible_ray.records import Grant
from crucible_ray.runtime.frontier import Frontier
from crucible_ray.runtime.lanes import Lanes

BLOCKS, CONDITIONS = 50, 3
ONE_LANE: Lanes = ((0, 1, 2),)
TWO_LANES: Lanes = ((0, 2), (1,))


def frontier(lanes: Lanes = ONE_LANE, *, done: tuple[int, ...] = (), blocks: int = BLOCKS) -> Frontier:
    already = TrialSet()
    already.add(np.array(done, np.int64))
    return Frontier(order=Order(blocks=blocks, conditions=CONDITIONS, seed=5), lanes=lanes, done=already)


def trials_of(of: Frontier, grant: Grant | None) -> list[int]:
    """What a client makes of a grant, by the order alone."""
    if grant is None:
        return []
    ranks = np.array([rank for start, stop in grant.spans for rank in range(start, stop)], np.int64)
    whole = of.order.trials_at(ranks).ravel().tolist()
    return [t for t in whole if t % CONDITIONS in of.lanes[grant.lane]] + list(grant.trials)


def drain(of: Frontier, client: int, most: int) -> list[int]:
    """Take everything that is left."""
    taken = []
    for lane in range(len(of.lanes)):
        while of.has_work(lane):
            taken += trials_of(of, of.take(client, lane, most))
    return taken


def finish(of: Frontier, client: int, *trials: int) -> list[bool]:
    first: list[bool] = of.finish(client, np.array(trials, np.int64)).tolist()
    return first


@pytest.mark.parametrize("lanes", [ONE_LANE, TWO_LANES])
@pytest.mark.parametrize("most", [1, 7, 1000])
def test_every_trial_is_granted_once(lanes: Lanes, most: int) -> None:
    of = frontier(lanes)
    taken = drain(of, 0, most)
    assert sorted(taken) == list(range(BLOCKS * CONDITIONS))
    assert of.out == BLOCKS * CONDITIONS
    assert all(finish(of, 0, *taken))
    assert of.complete
    assert of.out == 0


def test_a_fresh_grid_is_granted_as_spans_of_whole_blocks_in_their_planned_order() -> None:
    of = frontier()
    grants = [of.take(0, 0, 12), of.take(0, 0, 12)]
    assert [g.spans for g in grants if g] == [((0, 4),), ((4, 8),)]
    assert trials_of(of, grants[0])[:3] == of.order.trials_at(np.array([0])).ravel().tolist()


def test_a_lane_grants_its_own_conditions_alone() -> None:
    of = frontier(TWO_LANES)
    assert {t % CONDITIONS for t in trials_of(of, of.take(0, 0, 20))} == {0, 2}
    assert {t % CONDITIONS for t in trials_of(of, of.take(0, 1, 20))} == {1}


@pytest.mark.parametrize("lanes", [ONE_LANE, TWO_LANES])
def test_what_is_done_is_never_granted_and_the_rest_of_its_block_is(lanes: Lanes) -> None:
    rng = random.Random(1)
    done = tuple(rng.sample(range(BLOCKS * CONDITIONS), 60))
    taken = drain(frontier(lanes, done=done), 0, 10)
    assert sorted(taken) == sorted(set(range(BLOCKS * CONDITIONS)) - set(done))


def test_a_grid_that_is_done_has_nothing_to_grant() -> None:
    of = frontier(done=tuple(range(BLOCKS * CONDITIONS)))
    assert of.complete
    assert of.take(0, 0, 10) is None


def test_the_first_row_of_a_trial_wins_and_later_ones_are_counted() -> None:
    of = frontier()
    first, second = trials_of(of, of.take(0, 0, 3))[:2]
    assert finish(of, 0, first, second, first) == [True, True, False]
    assert finish(of, 1, first) == [False]
    assert of.duplicates == 2


def test_what_is_handed_back_goes_to_the_next_who_asks() -> None:
    of = frontier()
    taken = trials_of(of, of.take(0, 0, 6))
    of.give_back(0, taken[:2])
    assert of.out_with(0) == len(taken) - 2
    assert trials_of(of, of.take(1, 0, 6)) == taken[:2]


def test_only_what_a_client_has_can_it_hand_back() -> None:
    of = frontier()
    taken = trials_of(of, of.take(0, 0, 3))
    finish(of, 0, taken[0])
    of.give_back(0, [taken[0]])
    of.give_back(1, [taken[1]])
    assert of.next_single(0) is None


def test_the_work_of_a_dead_client_goes_to_others() -> None:
    of = frontier(TWO_LANES)
    taken = trials_of(of, of.take(0, 0, 4)) + trials_of(of, of.take(0, 1, 2))
    finish(of, 0, taken[0])
    assert of.died(0) == []
    assert (of.out, of.out_with(0)) == (0, 0)
    again = trials_of(of, of.take(1, 0, 100)) + trials_of(of, of.take(1, 1, 100))
    assert set(again) == set(taken[1:])


def test_a_row_that_arrives_after_its_clients_death_still_counts_once() -> None:
    of = frontier()
    taken = trials_of(of, of.take(0, 0, 3))
    of.died(0)
    assert finish(of, 0, taken[0]) == [True]
    assert finish(of, 1, taken[0]) == [False]


def test_what_was_out_at_two_deaths_runs_apart_from_everything_else() -> None:
    of = frontier()
    taken = trials_of(of, of.take(0, 0, 3))
    of.died(0)
    of.take(0, 0, 3)
    assert of.died(0) == []
    assert of.next_single(0) is None
    groups = [trials_of(of, of.take_suspects(0)) for _ in range(len(taken))]
    assert sorted(groups) == sorted([t] for t in taken)
    assert not of.next_suspects()


def test_a_trial_that_dies_alone_at_its_third_death_is_given_up_and_its_fellows_are_not() -> None:
    of = frontier()
    guilty, *innocent = trials_of(of, of.take(0, 0, 3))
    of.died(0)
    of.take(0, 0, 3)
    of.died(0)
    fatal = []
    while of.next_suspects():
        grant = of.take_suspects(0)
        (trial,) = grant.trials
        if trial == guilty:
            fatal += of.died(0)
        else:
            finish(of, 0, trial)
    assert fatal == [guilty]
    assert all(trial in of.done for trial in innocent)
    assert guilty not in of.done


def test_many_suspects_are_narrowed_down_in_groups() -> None:
    of = frontier()
    taken = trials_of(of, of.take(0, 0, 60))
    guilty = taken[17]
    of.died(0)
    of.take(0, 0, 60)
    of.died(0)
    deaths, fatal = 0, []
    while of.next_suspects():
        grant = of.take_suspects(0)
        if guilty in grant.trials:
            deaths += 1
            fatal += of.died(0)
        else:
            finish(of, 0, *grant.trials)
    assert fatal == [guilty]
    assert deaths == 2  # its group of sixteen, and it alone
    assert sorted(t for t in taken if t in of.done) == sorted(set(taken) - {guilty})


def test_a_group_of_suspects_can_be_halved_where_money_is_short() -> None:
    of = frontier()
    of.take(0, 0, 60)
    of.died(0)
    of.take(0, 0, 60)
    of.died(0)
    whole = list(of.next_suspects())
    of.halve_suspects()
    halves = [trials_of(of, of.take_suspects(0)) for _ in range(2)]
    assert sorted(halves[0] + halves[1]) == sorted(whole)
    assert all(halves)


def test_a_block_can_be_split_where_money_is_short() -> None:
    of = frontier()
    of.split_next_block(0)
    grant = of.take(0, 0, 1)
    assert grant is not None
    assert grant.spans == ()
    assert len(grant.trials) == 1
    assert sorted([*grant.trials, *drain(of, 0, 10)]) == list(range(BLOCKS * CONDITIONS))


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_no_trial_is_with_two_clients_and_none_is_lost(seed: int) -> None:
    rng = random.Random(seed)
    lanes = rng.choice([ONE_LANE, TWO_LANES])
    done = tuple(rng.sample(range(BLOCKS * CONDITIONS), rng.choice([0, 0, 40])))
    of = frontier(lanes, done=done)
    held: dict[int, set[int]] = {0: set(), 1: set(), 2: set()}
    rows: Counter[int] = Counter(done)
    for _ in range(5000):
        if of.complete:
            break
        client = rng.randrange(3)
        mine = held[client]
        match rng.choice(
            ["take", "take", "finish", "finish", "finish", "return", "die", "suspects", "split"]
        ):
            case "take":
                new = trials_of(of, of.take(client, rng.randrange(len(lanes)), rng.randrange(1, 12)))
                assert not any(set(new) & other for other in held.values())
                mine |= set(new)
            case "suspects" if not mine and of.next_suspects():
                mine |= set(trials_of(of, of.take_suspects(client)))
            case "finish" if mine:
                some = rng.sample(sorted(mine), rng.randrange(1, len(mine) + 1))
                assert all(finish(of, client, *some))
                rows.update(some)
                mine -= set(some)
            case "return" if mine:
                one = rng.choice(sorted(mine))
                of.give_back(client, [one])
                mine.discard(one)
            case "die" if rng.random() < 0.2:
                given_up = of.died(client)
                assert set(given_up) <= mine
                assert all(finish(of, client, trial)[0] for trial in given_up)
                rows.update(given_up)
                held[client] = set()
            case "split":
                of.split_next_block(rng.randrange(len(lanes)))
        assert of.out == sum(map(len, held.values()))
    assert of.complete
    assert rows == Counter(range(BLOCKS * CONDITIONS))
