from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crucible_ray.ensemble import Ballot, Vote, majority, normalizer

FAILED = Ballot(None, failed=True)
ABSTAINED = Ballot(None)
lower = normalizer("lowercase_trim")


def vote(*ballots: Ballot | str, quorum: int = 2) -> Vote:
    cast = [ballot if isinstance(ballot, Ballot) else Ballot(ballot) for ballot in ballots]
    return majority(cast, quorum=quorum, normalize=lower)


def test_the_answer_with_most_votes_wins() -> None:
    counted = vote("A", "B", "B")
    assert (counted.winner, counted.votes, counted.tied) == ("B", {"A": 1, "B": 2}, False)
    assert counted.consensus == pytest.approx(2 / 3)


def test_a_tie_goes_to_the_tied_answer_voted_first_in_member_order() -> None:
    assert (vote("C", "A", "B").winner, vote("C", "A", "B").tied) == ("C", True)
    assert vote("C", "B", "A", "A", "B").winner == "B"


def test_answers_match_normalised_and_are_shown_as_first_written() -> None:
    counted = vote("Paris ", "rome", "paris", "PARIS")
    assert (counted.winner, counted.votes) == ("Paris ", {"Paris ": 3, "rome": 1})


def test_an_unreadable_reply_abstains_and_counts_towards_the_quorum() -> None:
    counted = vote("A", ABSTAINED, FAILED)
    assert (counted.winner, counted.consensus, counted.reason) == ("A", 1.0, None)


def test_fewer_answers_than_the_quorum_are_no_quorum() -> None:
    counted = vote("A", FAILED, FAILED)
    assert (counted.winner, counted.consensus, counted.votes, counted.reason) == (
        None,
        None,
        {"A": 1},
        "no_quorum",
    )


def test_a_quorum_without_any_vote_is_parse_failed() -> None:
    counted = vote(ABSTAINED, ABSTAINED, FAILED)
    assert (counted.winner, counted.consensus, counted.votes, counted.reason) == (
        None,
        None,
        {},
        "parse_failed",
    )


def test_nobody_there_is_no_quorum() -> None:
    assert vote(FAILED, FAILED, quorum=1).reason == "no_quorum"
    assert vote(quorum=1).reason == "no_quorum"


ballots = st.lists(
    st.builds(Ballot, st.none() | st.sampled_from(["A", "a", "B", "C "]), st.just(False)) | st.just(FAILED),
    max_size=9,
)


@given(ballots, st.integers(1, 9))
def test_a_count_adds_up(cast: list[Ballot], quorum: int) -> None:
    counted = majority(cast, quorum=quorum, normalize=lower)
    votes = [ballot.answer for ballot in cast if ballot.answer is not None]
    assert sum(counted.votes.values()) == len(votes)
    assert (counted.winner is None) == (counted.consensus is None) == (counted.reason is not None)
    if counted.winner is not None:
        assert counted.winner in votes
        assert counted.votes[counted.winner] == max(counted.votes.values())
        assert counted.tied == (list(counted.votes.values()).count(counted.votes[counted.winner]) > 1)
