"""Items against repeats, priors, and power by simulation."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest

from crucible_ray.errors import StatsError
from crucible_ray.stats import (
    assurance,
    best_split,
    exact_support,
    items_for_assurance,
    least_cost,
    normal_prior,
    simulated_quantile_power,
    simulated_support,
    support_power,
)
from crucible_ray.stats.decision import paired_difference
from crucible_ray.stats.simulated import _supported
from crucible_ray.stats.verdicts import interval_alpha, verdict

NOISY: dict[str, Any] = {"discordant": 0.2, "icc": 0.5, "rho": 0.8}
"""At one repeat .833 of an item's variance lies within it: .5 / (1 - .4)."""


def test_where_only_calls_cost_money_one_repeat_of_more_items_is_cheapest() -> None:
    found = least_cost(effect=0.05, **NOISY)
    assert (found.repeats, found.cost) == (1, found.items)
    assert found.power >= 0.8


def test_where_an_item_costs_money_of_its_own_the_classical_optimum_of_repeats_is_found() -> None:
    found = least_cost(effect=0.05, item_cost=20.0, repeat_cost=1.0, **NOISY)
    within, between = 0.5 / 0.6, 0.1 / 0.6  # shares of the variance at one repeat
    # Cochran 1977, Sampling Techniques, 10.6: the root of (within / between) (cost of an item / cost of a repeat).
    assert found.repeats == pytest.approx(math.sqrt(within / between * 20), abs=1)
    assert found.items < least_cost(effect=0.05, **NOISY).items / 3


def test_where_the_dataset_is_too_small_repeats_make_up_for_it_or_it_is_said_how_far_they_go() -> None:
    found = least_cost(effect=0.05, max_items=300, **NOISY)
    assert found.items <= 300
    assert found.repeats > 1
    assert found.power >= 0.8
    with pytest.raises(StatsError, match=r"100 items reach a power of 0\.\d\d at most, with 50 repeats"):
        least_cost(effect=0.05, max_items=100, **NOISY)
    with pytest.raises(StatsError, match="with 1 repeats"):
        least_cost(effect=0.05, max_items=300, discordant=0.2)  # nothing known of what repeats bring


def test_the_least_cost_is_that_of_a_search_through_every_design() -> None:
    found = least_cost(effect=0.1, item_cost=3.0, **NOISY)
    costs = [
        items * (3.0 + repeats)
        for items, repeats in product(range(20, 140), range(1, 13))
        if support_power("superiority", 0.0, n=items, effect=0.1, repeats=repeats, **NOISY) >= 0.8
    ]
    assert found.cost == min(costs)


def test_the_same_money_finds_most_with_items_rather_than_repeats() -> None:
    spent = best_split(budget=600, effect=0.05, **NOISY)
    assert (spent.items, spent.repeats) == (600, 1)
    assert spent.power > support_power("superiority", 0.0, n=200, effect=0.05, repeats=3, **NOISY)
    few = best_split(budget=600, effect=0.05, max_items=200, **NOISY)
    assert (few.items, few.repeats) == (200, 3)


def test_assurance_is_the_mean_of_power_over_the_prior_and_never_passes_its_weight() -> None:
    prior = normal_prior(0.04, 0.04)
    drawn = np.random.default_rng(1).normal(0.04, 0.04, 3_000)
    found = assurance(prior, n=400, discordant=0.15)
    assert found == pytest.approx(assurance(drawn, n=400, discordant=0.15), abs=0.02)
    assert assurance(prior, n=10**8, discordant=0.15) == pytest.approx((prior > 0).mean(), abs=0.01)
    with pytest.raises(StatsError, match=r"gives 0.84 .* no number of items reaches 0.9"):
        items_for_assurance(prior, power=0.9, discordant=0.15)


def test_items_for_an_assurance_are_the_fewest() -> None:
    prior = normal_prior(0.06, 0.02)
    items = items_for_assurance(prior, discordant=0.15)
    assert assurance(prior, n=items, discordant=0.15) >= 0.8 > assurance(prior, n=items - 1, discordant=0.15)
    assert items > items_for_assurance([0.06], discordant=0.15)


@pytest.mark.parametrize("relation", ["superiority", "non_inferiority", "equivalence"])
@pytest.mark.parametrize("repeats", [1, 3])
def test_a_simulated_run_is_decided_as_the_default_rule_decides_it(relation: str, repeats: int) -> None:
    rng, margin = np.random.default_rng(repeats), 0.1
    alpha = interval_alpha(0.05, relation)
    for n, share in ((15, 0.5), (40, 0.8), (90, 0.99)):
        control = rng.binomial(1, share, size=(10, n, repeats))
        treatment = rng.binomial(1, min(share + 0.1, 1.0), size=(10, n, repeats))
        gained = (treatment - control).sum(axis=2)
        found = _supported(gained, repeats, relation, margin, alpha)
        for run in range(10):
            decided = paired_difference(control[run], treatment[run], alpha=alpha)
            low, high = decided.result.ci_low, decided.result.ci_high
            expected = (
                decided.decidable
                and low is not None
                and high is not None
                and verdict(low, high, relation, margin) == "supported"
            )
            assert found[run] == expected


def test_simulation_agrees_with_counting_out_at_one_repeat_and_with_the_formula_where_many_items_differ() -> (
    None
):
    p, effect, icc, rho = 0.7, 0.1, 0.5, 0.8
    how: dict[str, Any] = {"effect": effect, "p": p, "icc": icc, "rho": rho}
    both = p * (p + effect) + icc * rho * math.sqrt(p * (1 - p) * (p + effect) * (1 - p - effect))
    discordant = 2 * p + effect - 2 * both
    one = simulated_support("superiority", 0.0, n=80, repeats=1, **how)
    exact = exact_support("superiority", 0.0, n=80, effect=effect, discordant=discordant)
    assert one.power == pytest.approx(exact, abs=4 * one.error)
    many = simulated_support("superiority", 0.0, n=150, repeats=4, **how)
    formula = support_power("superiority", 0.0, n=150, repeats=4, **how)
    assert many.power == pytest.approx(formula, abs=0.03)
    assert simulated_support("superiority", 0.0, n=150, repeats=4, **how) == many


def test_with_few_differing_items_simulation_finds_far_less_than_the_formula() -> None:
    how: dict[str, Any] = {"effect": 0.03, "p": 0.95, "icc": 0.3, "rho": 0.5}
    found = simulated_support("superiority", 0.0, n=30, repeats=3, **how)
    assert found.power < 0.02
    assert 0 < found.error < 0.01
    assert support_power("superiority", 0.0, n=30, repeats=3, **how) > 0.15


def test_power_for_a_quantile_is_what_drawing_from_the_pilot_finds() -> None:
    rng = np.random.default_rng(3)
    control = rng.lognormal(0, 0.5, size=(400, 2))
    treatment = control * 1.0
    shifted = rng.lognormal(0, 0.5, size=(400, 2))
    assert simulated_quantile_power(control, treatment, quantile=0.95, n=200, effect=0.1).power == 1.0
    small, large = (
        simulated_quantile_power(control, shifted, quantile=0.95, n=200, effect=effect, simulations=400)
        for effect in (0.0, 1.0)
    )
    assert small.power == pytest.approx(0.025, abs=0.03)
    assert large.power > 0.9
    with pytest.raises(StatsError, match=r"the 0\.99 quantile needs 368 or more"):
        simulated_quantile_power(control, shifted, quantile=0.99, n=200, effect=0.1)


def test_costs_and_shares_that_are_none_are_refused() -> None:
    with pytest.raises(StatsError, match="repeat_cost is 0"):
        least_cost(effect=0.05, discordant=0.2, repeat_cost=0.0)
    with pytest.raises(StatsError, match="pays for no item"):
        best_split(budget=0.5, effect=0.05, discordant=0.2)
    with pytest.raises(StatsError, match=r"lie in \[0, 1\]"):
        simulated_support("superiority", 0.0, n=30, repeats=3, effect=0.2, p=0.9, icc=0.5, rho=0.5)
