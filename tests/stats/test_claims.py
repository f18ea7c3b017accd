"""Claims judged while increments come in: the betting sequence's verdicts, whatever was lost counted at its worst."""

from __future__ import annotations

import numpy as np
import pytest

from crucible_ray.errors import StatsError
from crucible_ray.stats.claims import Claim, judge_claim
from crucible_ray.stats.looks import PairedBounds, judge_look, repeated_p
from crucible_ray.stats.sequential import betting_sequence, group_sequential, look_levels
from crucible_ray.stats.verdicts import verdict

RELATIONS = (("superiority", 0.0), ("superiority", 0.1), ("non_inferiority", 0.1), ("equivalence", 0.25))


def items(mean: float, n: int, seed: int, discordant: float = 0.4) -> np.ndarray:
    shares = [(discordant - mean) / 2, 1 - discordant, (discordant + mean) / 2]
    return np.random.default_rng(seed).choice([-1.0, 0.0, 1.0], p=shares, size=n)


@pytest.mark.parametrize(("relation", "margin"), RELATIONS)
@pytest.mark.parametrize("mean", [-0.3, 0.0, 0.3])
def test_a_verdict_comes_exactly_when_the_confidence_sequence_allows_it(
    relation: str, margin: float, mean: float
) -> None:
    values = items(mean, 300, 1)
    found = judge_claim(values, values, relation, margin)
    level = 0.1 if relation == "equivalence" else 0.05

    def at(n: int) -> str:
        told = betting_sequence(values[:n], alpha=level)
        return verdict(told.ci_low, told.ci_high, relation, margin).replace("reversed", "refuted")

    if found.decided_at is None:
        assert found.verdict == at(300) == "not_decided"
        assert found.p_value > 0.05
    else:
        assert found.verdict.replace("reversed", "refuted") == at(found.decided_at)
        assert at(found.decided_at - 1) == "not_decided"


def test_increments_fed_one_by_one_say_what_all_at_once_say() -> None:
    values = items(0.2, 200, 2)
    whole, parts = Claim("superiority"), Claim("superiority")
    whole.feed(values, values)
    for value in values:
        parts.feed(np.array([value]), np.array([value]))
    assert (parts.verdict, parts.decided_at, parts.p_value) == (
        whole.verdict,
        whole.decided_at,
        whole.p_value,
    )
    assert whole.p_value == betting_sequence(values).p_value


def test_what_is_lost_delays_a_verdict_and_never_brings_one() -> None:
    values = np.full(150, 1.0)
    lost = np.arange(150) % 6 == 0
    known = judge_claim(values, values, "superiority")
    worst = judge_claim(np.where(lost, -1.0, values), values, "superiority")
    assert known.verdict == worst.verdict == "supported"
    assert known.decided_at is not None
    assert worst.decided_at is not None
    assert worst.decided_at > known.decided_at
    # Half of all lost, whatever the other half says: the difference may be on either side.
    half = np.arange(600) % 2 == 0
    open_ = judge_claim(np.where(half, -1.0, 1.0), np.ones(600), "superiority")
    assert open_.verdict == "not_decided"
    assert open_.ci_low < 0 < open_.ci_high


def test_a_claim_without_a_meaning_is_refused() -> None:
    with pytest.raises(StatsError, match="no relation"):
        Claim("better")
    with pytest.raises(StatsError, match="margin"):
        Claim("superiority", 1.0)
    with pytest.raises(StatsError, match="low"):
        judge_claim([1.0], [0.0], "superiority")


def _paired(gains: int, losses: int, n: int) -> PairedBounds:
    a, b = np.ones((n, 1)), np.ones((n, 1))
    b[:gains], a[gains : gains + losses] = 0.0, 0.0
    return PairedBounds(a_low=a, a_high=a, b_low=b, b_high=b)


def test_a_planned_look_reads_the_default_decision_at_its_own_level() -> None:
    shares = (0.2, 0.4, 0.6, 0.8, 1.0)
    group = group_sequential(5)
    assert look_levels(shares, 0.05) == pytest.approx(group.levels)
    found = judge_look(shares, 2, _paired(30, 8, 200), "superiority")
    # McNemar's z = 22 / sqrt(38) = 3.57, the third boundary 2.68.
    assert found.verdict == "supported"
    assert judge_look(shares, 0, _paired(30, 8, 200), "superiority").verdict == "not_decided"
    assert group.bounds[2] < 22 / 38**0.5 < group.bounds[0]


def test_the_repeated_p_is_alpha_where_a_look_only_just_decides() -> None:
    shares = (0.5, 1.0)
    p = repeated_p(shares, 0, _paired(30, 8, 200), "superiority")
    assert judge_look(shares, 0, _paired(30, 8, 200), "superiority", alpha=1.01 * p).verdict == "supported"
    assert judge_look(shares, 0, _paired(30, 8, 200), "superiority", alpha=0.99 * p).verdict == "not_decided"


def test_what_is_lost_widens_a_planned_look_on_both_sides() -> None:
    whole = _paired(30, 8, 200)
    a_low, b_low = whole.a_low.copy(), whole.b_low.copy()
    a_low[100:120], b_low[120:140] = 0.0, 0.0
    lost = PairedBounds(a_low=a_low, a_high=whole.a_high, b_low=b_low, b_high=whole.b_high)
    known, worst = (judge_look((0.5, 1.0), 1, each, "superiority") for each in (whole, lost))
    assert (known.verdict, worst.verdict) == ("supported", "not_decided")
    assert None not in (known.ci_low, worst.ci_low, known.ci_high, worst.ci_high)
    assert worst.ci_low < known.ci_low < known.ci_high < worst.ci_high  # type: ignore[operator]
