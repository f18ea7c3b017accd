"""The chance to support a hypothesis, and the items that takes, against counting out and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from crucible_ray.errors import StatsError
from crucible_ray.stats import exact_support, items_for_support, support_power
from crucible_ray.stats.decision import paired_difference
from crucible_ray.stats.verdicts import interval_alpha, verdict


def test_the_recorded_mmlu_margin_of_five_at_a_true_eight_takes_817_to_1340_items() -> None:
    few, many = (
        items_for_support("superiority", 0.05, effect=0.08, discordant=share) for share in (0.10, 0.16)
    )
    assert (few, many) == (817, 1340)  # 816.3 and 1,339.5 before rounding up
    for items, share in ((817, 0.10), (1340, 0.16)):
        assert exact_support("superiority", 0.05, n=items, effect=0.08, discordant=share) >= 0.8


def test_no_number_of_items_supports_a_margin_that_the_truth_does_not_clear() -> None:
    assert items_for_support("superiority", 0.05, effect=0.05, discordant=0.1) is None
    assert items_for_support("non_inferiority", 0.02, effect=-0.02, discordant=0.1) is None
    assert items_for_support("equivalence", 0.02, effect=-0.03, discordant=0.1) is None


@pytest.mark.parametrize(
    ("relation", "margin", "effect", "n"),
    [
        ("superiority", 0.0, 0.08, 60),
        ("superiority", 0.05, 0.12, 150),
        ("non_inferiority", 0.05, 0.0, 150),
        ("equivalence", 0.08, 0.0, 120),
        ("superiority", 0.0, 0.1, 20),
    ],
)
def test_counting_out_agrees_with_simulated_runs_through_the_default_rule(
    relation: str, margin: float, effect: float, n: int
) -> None:
    discordant, sims, rng = 0.2, 2_000, np.random.default_rng(5)
    shares = [(discordant + effect) / 2, (discordant - effect) / 2, 1 - discordant]
    supported = 0
    drawn = np.unique(rng.multinomial(n, shares, size=sims), axis=0, return_counts=True)
    for (gains, losses, _), times in zip(*drawn, strict=True):
        treatment = np.repeat([1.0, 0.0, 1.0], [gains, losses, n - gains - losses])
        control = np.repeat([0.0, 1.0, 1.0], [gains, losses, n - gains - losses])
        found = paired_difference(control, treatment, alpha=interval_alpha(0.05, relation))
        low, high = found.result.ci_low, found.result.ci_high
        assert low is not None
        assert high is not None
        supported += times * (found.decidable and verdict(low, high, relation, margin) == "supported")
    exact = exact_support(relation, margin, n=n, effect=effect, discordant=discordant)
    assert exact == pytest.approx(supported / sims, abs=3.5 * (exact * (1 - exact) / sims) ** 0.5 + 1e-3)


def test_a_formula_promises_power_where_too_few_items_differ_and_counting_out_does_not() -> None:
    assert support_power("superiority", 0.0, n=20, effect=0.05, discordant=0.1) > 0.1
    assert exact_support("superiority", 0.0, n=20, effect=0.05, discordant=0.1) < 0.003


@pytest.mark.parametrize(
    ("relation", "margin", "effect"),
    [("superiority", 0.0, 0.05), ("non_inferiority", 0.05, 0.0), ("equivalence", 0.05, 0.01)],
)
def test_the_items_asked_for_give_the_default_rule_the_power_they_promise(
    relation: str, margin: float, effect: float
) -> None:
    items = items_for_support(relation, margin, effect=effect, discordant=0.1)
    assert items is not None
    assert 0.8 <= exact_support(relation, margin, n=items, effect=effect, discordant=0.1) < 0.83


def test_equivalence_of_numbers_agrees_with_simulated_two_one_sided_tests() -> None:
    rng, n, margin, effect, sims = np.random.default_rng(8), 30, 0.5, 0.1, 4_000
    values = rng.normal(effect, 1.0, size=(sims, n))
    half = stats.t.ppf(0.95, n - 1) * values.std(axis=1, ddof=1) / np.sqrt(n)
    means = values.mean(axis=1)
    found = ((means - half > -margin) & (means + half < margin)).mean()
    planned = support_power("equivalence", margin, n=n, effect=effect, design="paired_continuous", sd=1.0)
    assert planned == pytest.approx(found, abs=0.03)


def test_impossible_shares_and_unknown_relations_are_refused() -> None:
    with pytest.raises(StatsError, match="impossible"):
        exact_support("superiority", 0.0, n=10, effect=0.3, discordant=0.2)
    with pytest.raises(StatsError, match="no relation 'better'"):
        support_power("better", 0.0, n=10, effect=0.1, discordant=0.2)
    with pytest.raises(StatsError, match="between 0 and 1"):
        items_for_support("superiority", 0.0, effect=0.1, discordant=0.2, power=1.0)
