"""`kill -9` of anything, on real Ray: `kills.py` says how."""

from __future__ import annotations

import pytest

from tests.integration.kills import TRIALS, VICTIMS, Outcome, play

pytestmark = [pytest.mark.ray, pytest.mark.slow]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """Ten kills, every kind of victim among them."""
    return play(tmp_path_factory.mktemp("killed"), seed=3, count=10)


def test_a_run_killed_ten_times_ends_with_one_row_for_every_trial(outcome: Outcome) -> None:
    assert {kill.victim for kill in outcome.kills} == set(VICTIMS)
    assert outcome.lives == 1 + sum(kill.ends_the_driver for kill in outcome.kills)
    assert (outcome.rows, outcome.unique) == (TRIALS, TRIALS)


def test_nothing_that_was_recorded_is_asked_again(outcome: Outcome) -> None:
    assert outcome.stats is not None
    lost = outcome.stats.requests - outcome.recorded_calls
    # What is in flight, queued rows of one exchange and of one second until they are durable.
    assert 0 <= lost <= len(outcome.kills) * 250


def test_its_record_replays_to_the_same_bytes_with_one_client_and_with_four(outcome: Outcome) -> None:
    assert outcome.same == {1: True, 4: True}


def test_no_process_outlives_the_drivers(outcome: Outcome) -> None:
    assert outcome.started
    assert outcome.orphans == []
