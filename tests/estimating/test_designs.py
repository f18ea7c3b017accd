"""Of items, effect and power two are given, the third follows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crucible_ray.errors import StatsError
from crucible_ray.estimating.designs import Question, Row, answer
from crucible_ray.estimating.designs_text import answer_lines
from crucible_ray.estimating.pilots import Pilot, pilot_lines, with_pilot
from crucible_ray.stats.pilots import spread_of


def _rows(**asked: Any) -> tuple[Row, ...]:
    return answer(Question(**asked)).rows


def test_both_ends_of_a_range_of_shares_give_the_recorded_items() -> None:
    found = answer(Question(effect=0.08, margin=0.05, discordant=(0.10, 0.16)))
    assert found.solved == "n"
    assert [row.n for row in found.rows] == [817, 1340]
    text = "\n".join(answer_lines(found, curve=True))
    assert '817 to 1,340 items support "more than 5 points better" with a power of 0.80' in text
    assert "Power by items, for a true difference of 8 points, where 10 % of items differ" in text
    assert "█" in text


def test_each_of_the_three_follows_from_the_other_two() -> None:
    (items,) = _rows(effect=0.06, power=0.9, discordant=(0.15,))
    (chance,) = _rows(effect=0.06, n=items.n, discordant=(0.15,))
    (effect,) = _rows(n=items.n, power=0.9, discordant=(0.15,))
    assert chance.power == pytest.approx(0.9, abs=0.01)
    assert effect.effect == pytest.approx(0.06, abs=0.001)
    assert chance.how == effect.how == "counted out"


def test_one_given_alone_is_taken_with_a_power_of_080() -> None:
    assert answer(Question(n=300, p=0.8)).question.power == 0.8
    wrongs: list[dict[str, Any]] = [{}, {"power": 0.8}, {"n": 10, "effect": 0.1, "power": 0.8}]
    for wrong in wrongs:
        with pytest.raises(StatsError, match="give two of --n, --effect and --power"):
            answer(Question(discordant=(0.1,), **wrong))


def test_repeated_pairs_are_simulated_through_the_default_rule_beside_the_formula() -> None:
    (row,) = _rows(n=60, effect=0.05, p=0.9, icc=0.6, rho=0.8, repeats=3)
    assert row.how == "formula"
    assert row.simulated is not None
    assert row.simulated_error is not None
    assert row.simulated < row.power - 3 * row.simulated_error


def test_repeats_of_which_nothing_is_known_count_as_one_and_that_is_said() -> None:
    found = answer(Question(n=200, effect=0.05, discordant=(0.15,), repeats=5))
    assert found.rows[0].power == _rows(n=200, effect=0.05, discordant=(0.15,))[0].power
    assert "5 repeats carry the information of 1" in found.notes[0]


def test_with_prices_the_cheapest_items_and_repeats_are_said_or_why_there_are_none() -> None:
    noisy: dict[str, Any] = {"effect": 0.05, "discordant": (0.2,), "icc": 0.5, "rho": 0.8}
    (row,) = _rows(**noisy, item_cost=0.5, repeat_cost=0.01)
    assert row.items is not None
    assert row.item_repeats is not None
    assert row.cost_usd == pytest.approx(row.items * (0.5 + 0.01 * row.item_repeats))
    assert row.items * (0.5 + 0.01 * row.item_repeats) < row.n * 0.51
    found = answer(Question(**noisy, repeat_cost=0.01, max_items=80))
    assert any("80 items reach a power of" in line for line in answer_lines(found))


def test_a_prior_gives_assurance() -> None:
    (row,) = _rows(effect=0.05, effect_sd=0.02, discordant=(0.15,))
    assert row.how == "assurance"
    assert row.n > _rows(effect=0.05, discordant=(0.15,))[0].n


def test_too_few_items_to_decide_are_said_to_be_too_few() -> None:
    with pytest.raises(StatsError, match="20 items"):
        answer(Question(n=20, discordant=(0.1,)))
    with pytest.raises(StatsError, match="no number of items supports it"):
        answer(Question(effect=0.05, margin=0.05, discordant=(0.1,)))


def _answers(repeats: int, items: int = 4_000) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Two conditions whose items' chances are known: icc, rho and shares follow."""
    rng = np.random.default_rng(7)
    ability = rng.beta(2, 1, items)
    other = np.clip(ability + rng.normal(0, 0.1, items), 0, 1)
    return tuple(
        rng.binomial(1, chance[:, None], (items, repeats)).astype(float) for chance in (ability, other)
    )  # type: ignore[return-value]


def test_a_pilots_spread_is_that_of_what_it_was_drawn_from() -> None:
    control, treatment = _answers(3)
    found = spread_of(control, treatment)
    assert found.binary
    assert found.within == pytest.approx(2 * (1 / 6), abs=0.03)  # E[p (1 - p)] of Beta(2, 1) is 1 / 6
    assert found.between == pytest.approx(0.1**2, abs=0.01)
    assert found.discordant == pytest.approx(np.abs(control - treatment).mean(), abs=0.01)
    assert found.sd**2 == pytest.approx((treatment - control)[:, 0].var(ddof=1), rel=0.1)
    share = ((1 - found.icc) / 3 + found.icc * (1 - found.rho)) / (1 - found.icc * found.rho)  # type: ignore[operator]
    assert share * found.sd**2 == pytest.approx(found.between + found.within / 3)  # type: ignore[operator]


def test_a_pilot_without_repeats_says_nothing_of_what_repeats_bring() -> None:
    found = spread_of(*(table[:, 0] for table in _answers(1)))
    assert (found.within, found.icc, found.rho) == (None, None, None)


def test_a_pilot_with_failed_trials_uses_what_it_has() -> None:
    control, treatment = _answers(3)
    whole = spread_of(control, treatment)
    control[::5, 1] = np.nan
    control[::50] = np.nan
    found = spread_of(control, treatment)
    assert found.items == 4_000 - 80
    assert found.within == pytest.approx(whole.within, abs=0.02)
    with pytest.raises(StatsError, match="differ on no item"):
        spread_of(np.ones((10, 2)), np.ones((10, 2)))


def test_a_pilot_fills_in_what_is_not_said_and_never_the_true_difference() -> None:
    control, treatment = (table[:100] for table in _answers(3))
    pilot = Pilot(
        experiment_id="exp_1",
        metric="accuracy",
        control="a",
        treatment="b",
        spread=spread_of(control, treatment),
        cost_usd=0.002,
        latency_s=1.0,
    )
    question = with_pilot(Question(effect=0.05), pilot)
    assert question.effect == 0.05
    assert (question.repeat_cost, question.p) == (0.002, pilot.spread.control)
    assert len(question.discordant) == 3
    assert with_pilot(Question(effect=0.05, discordant=(0.3,)), pilot).discordant == (0.3,)
    found = answer(question)
    assert found.rows[0].n < found.rows[1].n < found.rows[2].n
    assert any("is not taken for the true one" in line for line in pilot_lines(pilot))
    with pytest.raises(StatsError, match="pairs its items"):
        with_pilot(Question(design="independent_binary", effect=0.05), pilot)
