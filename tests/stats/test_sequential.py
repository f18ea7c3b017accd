"""Looks while a run goes on keep their level, and decide about when theory says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from crucible_ray.errors import StatsError
from crucible_ray.stats import betting_sequence, group_sequential, sample_size
from crucible_ray.stats.sequential import BETS


def items(effect: float, discordant: float, n: int, rng: np.random.Generator) -> np.ndarray:
    shares = [(discordant - effect) / 2, 1 - discordant, (discordant + effect) / 2]
    return rng.choice([-1.0, 0.0, 1.0], p=shares, size=n)


def test_looking_after_every_item_keeps_the_level() -> None:
    rng = np.random.default_rng(31)
    wrong = sum(betting_sequence(items(0.0, 0.2, 1_000, rng)).decided_at is not None for _ in range(150))
    assert wrong / 150 <= 0.05


def test_a_planned_effect_is_decided_at_about_a_third_more_items_than_a_fixed_design() -> None:
    rng = np.random.default_rng(32)
    fixed = sample_size("paired_binary", effect=0.08, discordant=0.2)
    stops = [betting_sequence(items(0.08, 0.2, 6 * fixed, rng)).decided_at for _ in range(40)]
    assert all(stops)
    assert 0.9 < np.mean([stop for stop in stops if stop is not None]) / fixed < 1.8


def test_the_sequence_decides_exactly_where_its_interval_leaves_out_the_margin() -> None:
    rng = np.random.default_rng(33)
    for margin in (0.0, 0.05, -0.1):
        values = items(0.2, 0.4, 400, rng)
        found = betting_sequence(values, margin=margin)
        assert found.decided_at is not None
        at, before = (
            betting_sequence(values[:n], margin=margin) for n in (found.decided_at, found.decided_at - 1)
        )
        assert at.ci_low > margin
        assert before.ci_low <= margin <= before.ci_high
        assert at.p_value <= 0.05 < before.p_value


def test_the_confidence_sequence_only_shrinks_and_mirrors_with_its_increments() -> None:
    values = np.random.default_rng(34).uniform(-1, 1, 200)
    looks = [betting_sequence(values[:n]) for n in (1, 20, 80, 200)]
    assert all(a.ci_low <= b.ci_low and b.ci_high <= a.ci_high for a, b in pairwise(looks))
    mirrored = betting_sequence(-values)
    assert (mirrored.ci_low, mirrored.ci_high) == pytest.approx((-looks[-1].ci_high, -looks[-1].ci_low))


def test_the_capital_is_that_of_bets_made_one_by_one() -> None:
    values, margin = items(0.1, 0.4, 60, np.random.default_rng(36)), 0.02
    best = 0.0
    for side in (1, -1):
        capital = [1.0] * len(BETS)
        for value in values:
            capital = [
                each * (1 + bet * (side * value - side * margin) / (1 + side * margin))
                for each, bet in zip(capital, BETS, strict=True)
            ]
            best = max(best, sum(capital) / len(BETS))
    assert betting_sequence(values, margin=margin).p_value == pytest.approx(min(1.0, 2 / best), rel=1e-9)


def test_increments_beyond_their_bounds_are_refused() -> None:
    with pytest.raises(StatsError, match="scale them"):
        betting_sequence([0.5, 1.5])
    with pytest.raises(StatsError, match="NaN"):
        betting_sequence([0.5, float("nan")])
    with pytest.raises(StatsError, match="outside"):
        betting_sequence([0.5], margin=1)


def test_one_look_is_the_fixed_design() -> None:
    plan = group_sequential(1)
    assert plan.bounds[0] == pytest.approx(1.959963984540054, rel=1e-9)
    assert (plan.inflation, plan.expected) == pytest.approx((1, 1), rel=1e-6)


def test_planned_looks_keep_their_level_and_power_in_a_simulation() -> None:
    plan = group_sequential([0.25, 0.5, 0.75, 1.0])
    rng = np.random.default_rng(35)
    steps = rng.normal(0, 0.5, size=(40_000, 4)).cumsum(axis=1)
    shares = np.array(plan.fractions)

    def crossing(drift: float) -> np.ndarray:
        z = (steps + drift * shares) / np.sqrt(shares)
        crossed: np.ndarray = np.abs(z) >= np.array(plan.bounds)
        return crossed

    assert crossing(0.0).any(axis=1).mean() == pytest.approx(0.05, abs=0.004)
    drift = np.sqrt(plan.inflation) * (1.959963984540054 + 0.8416212335729143)
    under = crossing(drift)
    assert under.any(axis=1).mean() == pytest.approx(0.8, abs=0.01)
    stop = np.where(under.any(axis=1), shares[under.argmax(axis=1)], 1.0)
    assert plan.inflation * stop.mean() == pytest.approx(plan.expected, abs=0.01)


def test_a_look_stops_where_its_repeated_interval_leaves_out_zero() -> None:
    plan = group_sequential(3)
    for z in (-4.0, 1.0, 2.5, 3.8):
        for look in range(3):
            low, high = plan.interval(look, z * 0.1, 0.1)
            assert plan.stops(look, z) == (low > 0 or high < 0)


def test_looks_that_are_no_rising_shares_are_refused() -> None:
    for looks in (0, [0.5], [0.5, 0.4, 1.0], [0.0, 1.0]):
        with pytest.raises(StatsError, match="looks"):
            group_sequential(looks)
