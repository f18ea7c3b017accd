"""Several answers become one.

A member either failed (no reply that counts), abstained (a reply that cannot be read) or voted. Failed
members count against the quorum, abstentions do not: whoever abstained has answered.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from crucible_ray.ensemble.normalizing import Normalizer


class Ballot(Struct, frozen=True):
    """What one member contributes."""

    answer: str | None
    """Its parsed answer; None: failed, or the reply could not be read."""
    failed: bool = False
    """No reply: an error, a timeout, a truncated answer."""


class Vote(Struct, frozen=True, kw_only=True):
    """The count."""

    winner: str | None
    """The winning answer as the first of its voters wrote it; None: see `reason`."""
    votes: dict[str, int]
    """Votes by answer, each as the first of its voters wrote it, in the order of first votes."""
    consensus: float | None
    """Winning votes over votes cast; None without a winner."""
    tied: bool = False
    """Whether another answer had as many votes."""
    reason: str | None = None
    """Why there is no winner: `no_quorum` or `parse_failed`."""


def majority(ballots: Sequence[Ballot], *, quorum: int, normalize: Normalizer) -> Vote:
    """Plurality of the votes cast; a tie goes to the tied answer that was voted first in member order.

    ballots: in member order. quorum: members that must have answered, readably or not.
    """
    answered = 0
    counts: dict[str, int] = {}
    shown: dict[str, str] = {}
    for ballot in ballots:
        if ballot.failed:
            continue
        answered += 1
        if ballot.answer is not None:
            key = normalize(ballot.answer)
            counts[key] = counts.get(key, 0) + 1
            shown.setdefault(key, ballot.answer)
    # Distinct keys have distinct originals: equal originals would have had equal keys.
    votes = {shown[key]: count for key, count in counts.items()}
    if answered < quorum:
        return Vote(winner=None, votes=votes, consensus=None, reason="no_quorum")
    if not counts:
        return Vote(winner=None, votes=votes, consensus=None, reason="parse_failed")
    best = max(counts.values())
    leaders = [key for key, count in counts.items() if count == best]
    return Vote(
        winner=shown[leaders[0]],
        votes=votes,
        consensus=best / sum(counts.values()),
        tied=len(leaders) > 1,
    )
