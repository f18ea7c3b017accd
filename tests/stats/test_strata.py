from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crucible_ray.errors import StatsError
from crucible_ray.stats import compare
from crucible_ray.stats.decision import paired_difference
from crucible_ray.stats.paired import clustered_difference
from crucible_ray.stats.strata import stratified_difference


def test_two_strata_come_to_what_the_textbooks_formula_gives() -> None:
    # Means 2 and 7, variances 1 and 4, n 3 and 3: 1/4 (1/3) + 1/4 (4/3) = 5/12; df (5/12)^2 / ((1/12)^2/2 + (4/12)^2/2).
    diff, strata = np.array([1.0, 2, 3, 5, 7, 9]), np.array([0, 0, 0, 1, 1, 1])
    result = stratified_difference(diff, strata)
    assert result.estimate == pytest.approx(4.5)
    assert result.statistic == pytest.approx(4.5 / math.sqrt(5 / 12))
    assert result.df == pytest.approx(25 / 144 / (1 / 288 + 16 / 288))
    # Q = 25 / (1/3 + 4/3): the squared difference of two means over the sum of their variances.
    assert result.notes == ("differences between strata: Cochran's Q(1) = 15.00, p < .001",)


@given(st.lists(st.integers(-5000, 5000), min_size=3, max_size=30))
@example([0, 0, 1])
def test_one_stratum_is_t_on_item_differences(thousandths: list[int]) -> None:
    diff = np.array(thousandths) / 1000
    plain = clustered_difference(diff)
    if plain.p_value is None:
        return
    one = stratified_difference(diff, np.zeros(len(diff), np.int64))
    assert (one.estimate, one.df, one.p_value, one.ci_low) == pytest.approx(
        (plain.estimate, plain.df, plain.p_value, plain.ci_low)
    )


def test_what_lies_between_strata_is_no_noise() -> None:
    diff = np.concatenate([np.tile([0.0, 0.2], 20), np.tile([0.8, 1.0], 20)])
    strata = np.repeat([0, 1], 40)
    apart, pooled = stratified_difference(diff, strata), clustered_difference(diff)
    assert apart.estimate == pytest.approx(pooled.estimate)
    assert apart.estimate is not None
    assert apart.ci_low is not None
    assert pooled.estimate is not None
    assert pooled.ci_low is not None
    assert apart.estimate - apart.ci_low < (pooled.estimate - pooled.ci_low) / 3


def test_a_stratum_of_one_item_is_refused() -> None:
    with pytest.raises(StatsError, match="two items or more in each stratum"):
        stratified_difference(np.array([1.0, 2, 3]), np.array([0, 0, 1]))


def test_without_spread_within_strata_there_is_no_interval() -> None:
    result = stratified_difference(np.array([1.0, 1, 2, 2]), np.array([0, 0, 1, 1]))
    assert (result.estimate, result.p_value, result.ci_low) == (1.5, None, None)


def test_strata_are_kept_apart_where_enough_items_differ_and_else_pooled_with_a_word() -> None:
    strata = np.repeat([0, 1], 30)
    control, treatment = np.zeros(60), np.zeros(60)
    treatment[:12] = 1
    few = paired_difference(control, treatment, strata=strata)
    assert few.result.test == "mcnemar_score"
    assert "datasets pooled" in few.reason
    treatment[30:45] = 1
    many = paired_difference(control, treatment, strata=strata)
    assert many.result.test == "stratified_t"
    assert "weighted by their shares of the items" in many.reason
    assert many.result.estimate == pytest.approx(27 / 60)
    alone = paired_difference(control, treatment, strata=np.zeros(60, np.int64))
    assert alone.result.test == "mcnemar_score"
    assert "datasets" not in alone.reason


def test_two_conditions_that_are_equally_good_are_told_apart_in_one_of_twenty_samples() -> None:
    """Datasets in which one condition is better here and the other there by as much: no difference in all."""
    rng, rejected, sims = np.random.default_rng(7), 0, 400
    strata = np.repeat([0, 1], 80)
    for _ in range(sims):
        control = rng.random(160) < np.where(strata == 0, 0.5, 0.7)
        treatment = rng.random(160) < np.where(strata == 0, 0.6, 0.6)
        decision = paired_difference(control.astype(float), treatment.astype(float), strata=strata)
        assert decision.result.p_value is not None
        rejected += decision.decidable and decision.result.p_value < 0.05
    assert 0.025 < rejected / sims < 0.085


def test_a_macro_average_gives_every_stratum_the_same_weight() -> None:
    # Means 0.5 and 0 over 4 and 8 items: variances 1/3 / 4 and 2/7 / 8; each weighs a half.
    control = np.zeros(12)
    treatment = np.array([1.0, 1, 0, 0, 1, -1, 0, 0, 0, 0, 0, 0])
    strata = ["small"] * 4 + ["large"] * 8
    result = compare(control, treatment, paired=True, strata=strata, test="macro_average")
    assert result.estimate == pytest.approx(0.25)
    assert result.statistic == pytest.approx(0.25 / math.sqrt((1 / 12 + 1 / 28) / 4))
    assert result.test == "macro_average"
    assert "each with the same weight" in result.reason
    even = compare(control, treatment, paired=True, strata=[0, 1] * 6, test="macro_average")
    assert even.estimate == pytest.approx(float(np.mean(treatment)))
    with pytest.raises(StatsError, match="give items= "):
        compare(control, treatment, paired=True, test="macro_average")
