"""Effect sizes: how they move when the data move, what they say on nonsense."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import Table2x2

from crucible_ray.errors import StatsError
from crucible_ray.stats import (
    Effect,
    cliffs_delta,
    cohens_d,
    cohens_dz,
    cohens_h,
    cramers_v,
    epsilon_squared,
    eta_squared,
    glass_delta,
    hedges_g,
    kendalls_w,
    odds_ratio,
    omega_squared,
    rank_biserial,
    ratio_ci,
    risk_ratio,
    vargha_delaney_a,
)

TwoSamples = Callable[[list[float], list[float]], Effect]
STANDARDISED: list[TwoSamples] = [cohens_d, hedges_g, cohens_dz, glass_delta]
ORDERED: list[TwoSamples] = [cliffs_delta, rank_biserial]
SYMMETRIC = [cohens_d, hedges_g, cohens_dz, *ORDERED, lambda a, b: rank_biserial(a, b, paired=True)]
values = st.lists(st.integers(-20, 20).map(float), min_size=8, max_size=8)


def limits(found: Effect) -> tuple[float, float, float]:
    assert found.ci_low is not None
    assert found.ci_high is not None
    return found.value, found.ci_low, found.ci_high


@pytest.mark.parametrize("size", SYMMETRIC)
@settings(max_examples=25, deadline=None)
@given(before=values, after=values)
def test_swapping_control_and_treatment_mirrors_size_and_interval(
    size: TwoSamples, before: list[float], after: list[float]
) -> None:
    assume(np.std(before) > 0 and np.std(after) > 0 and np.std(np.subtract(before, after)) > 0)
    value, low, high = limits(size(before, after))
    mirrored = limits(size(after, before))
    assert mirrored == pytest.approx((-value, -high, -low), rel=1e-6, abs=1e-9)
    assert low <= value <= high


@pytest.mark.parametrize("size", STANDARDISED)
def test_a_standardised_difference_ignores_unit_and_origin(size: TwoSamples) -> None:
    before, after = [1.0, 4.0, 2.0, 8.0, 5.0], [3.0, 9.0, 4.0, 7.0, 9.0]
    moved = size([1e3 * x + 7 for x in before], [1e3 * x + 7 for x in after])
    assert limits(moved) == pytest.approx(limits(size(before, after)), rel=1e-9)


@pytest.mark.parametrize("size", [*ORDERED, vargha_delaney_a])
def test_a_size_of_order_ignores_any_rising_transformation(size: TwoSamples) -> None:
    before, after = [1.0, 4.0, 2.0, 8.0, 5.0], [3.0, 9.0, 4.0, 7.0, 9.0]
    bent = size([math.exp(x) for x in before], [math.exp(x) for x in after])
    assert limits(bent) == pytest.approx(limits(size(before, after)))


def test_cliffs_delta_is_that_of_all_pairs_and_of_mann_whitneys_u() -> None:
    rng = np.random.default_rng(1)
    before, after = rng.integers(0, 9, 23).astype(float), rng.integers(2, 11, 31).astype(float)
    dominance = np.sign(after[:, None] - before)
    rows, columns = dominance.mean(axis=1), dominance.mean(axis=0)
    delta = dominance.mean()
    variance = (
        23**2 * ((rows - delta) ** 2).sum()
        + 31**2 * ((columns - delta) ** 2).sum()
        - ((dominance - delta) ** 2).sum()
    ) / (23 * 31 * 22 * 30)
    found = cliffs_delta(before, after)
    u = scipy_stats.mannwhitneyu(after, before).statistic
    assert found.value == pytest.approx(delta) == pytest.approx(2 * u / (23 * 31) - 1)
    t = scipy_stats.t.ppf(0.975, 52)
    root = t * math.sqrt(variance) * math.sqrt((1 - delta**2) ** 2 + t**2 * variance)
    assert found.ci_low == pytest.approx((delta - delta**3 - root) / (1 - delta**2 + t**2 * variance))


def test_groups_that_do_not_overlap_still_have_an_inner_limit_below_one() -> None:
    for found in (cliffs_delta([1, 2, 3], [4, 5, 6]), rank_biserial([1, 2, 3], [4, 6, 8], paired=True)):
        value, low, high = limits(found)
        assert value == high == 1
        assert low < 1


def test_the_interval_of_d_leaves_out_zero_exactly_where_students_t_rejects() -> None:
    rng = np.random.default_rng(4)
    decided = 0
    for _ in range(40):
        before, after = rng.normal(0, 1, 9), rng.normal(0.9, 1, 12)
        _, low, high = limits(cohens_d(before, after))
        rejects = scipy_stats.ttest_ind(before, after).pvalue < 0.05
        decided += int(rejects)
        assert (low > 0 or high < 0) == rejects
    assert 5 < decided < 35


def test_the_interval_of_d_covers_the_true_size() -> None:
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(300):
        _, low, high = limits(cohens_d(rng.normal(0, 2, 12), rng.normal(1.6, 2, 15)))
        covered += low <= 0.8 <= high
    assert 0.91 < covered / 300 < 0.99


def test_eta_omega_and_epsilon_keep_their_order_and_share_one_interval() -> None:
    groups = [[1.0, 2.0, 4.0], [2.0, 5.0, 6.0], [7.0, 6.0, 9.0]]
    eta, epsilon, omega = (f(*groups) for f in (eta_squared, epsilon_squared, omega_squared))
    assert eta.value > epsilon.value > omega.value
    assert limits(eta)[1:] == limits(epsilon)[1:] == limits(omega)[1:]
    shifted = eta_squared(*([x + 1e9 for x in group] for group in groups))
    assert shifted.value == pytest.approx(eta.value, rel=1e-6)


def test_kendalls_w_is_one_where_all_items_agree() -> None:
    found = kendalls_w([1, 2, 3, 4], [2, 3, 4, 5], [3, 4, 5, 6])
    assert found.value == pytest.approx(1)
    assert 0 < kendalls_w([1, 5, 3, 4], [2, 3, 4, 5], [3, 4, 1, 6]).value < 1


def test_cramers_v_matches_scipy_and_is_one_on_a_diagonal() -> None:
    table = [[12, 5, 9], [8, 14, 6], [3, 7, 21]]
    found = cramers_v(table)
    assert found.value == pytest.approx(
        scipy_stats.contingency.association(np.array(table), method="cramer"), rel=1e-9
    )
    assert cramers_v([[20, 0], [0, 30]]).value == pytest.approx(1)
    assert "rough" in cramers_v([[3, 1], [1, 3]]).notes[0]


def test_ratios_of_a_table_match_statsmodels_and_samples_give_treatment_over_control() -> None:
    table = [[34, 16], [21, 29]]
    reference = Table2x2(np.array(table))
    assert limits(odds_ratio(table))[1:] == pytest.approx(reference.oddsratio_confint(), rel=1e-9)
    assert limits(risk_ratio(table))[1:] == pytest.approx(reference.riskratio_confint(), rel=1e-9)
    treatment, control = [1] * 34 + [0] * 16, [1] * 21 + [0] * 29
    for ratio in (odds_ratio, risk_ratio, cohens_h):
        assert ratio(control, treatment) == ratio(table)
    value, low, high = limits(odds_ratio(treatment, control))
    assert (1 / value, 1 / high, 1 / low) == pytest.approx(limits(odds_ratio(table)))


def test_an_empty_cell_is_mended_and_said() -> None:
    found = odds_ratio([[10, 0], [6, 4]])
    assert math.isfinite(limits(found)[2])
    assert "one half" in found.notes[0]
    assert found.n == 20


def test_fiellers_limits_are_where_the_t_test_of_numerator_less_ratio_turns() -> None:
    rng = np.random.default_rng(2)
    cost, correct = rng.gamma(2, 0.01, 40), (rng.random(40) < 0.7).astype(float)
    value, low, high = limits(ratio_ci(cost, correct))
    assert value == pytest.approx(cost.sum() / correct.sum())
    for limit in (low, high):
        assert scipy_stats.ttest_1samp(cost - limit * correct, 0).pvalue == pytest.approx(0.05)


def test_a_ratio_whose_denominator_may_be_zero_is_not_estimable() -> None:
    found = ratio_ci([0.01] * 9 + [0.02], [0] * 9 + [1])
    assert found.ci_low is None
    assert "not estimable" in found.notes[0]
    with pytest.raises(StatsError, match="no ratio"):
        ratio_ci([1.0, 2.0], [0.0, 0.0])


def test_an_effect_prints_in_one_line_and_serialises() -> None:
    found = cohens_d([0.89, 0.87, 0.90, 0.88, 0.91], [0.96, 0.97, 0.94, 0.95, 0.98])
    assert str(found) == "cohens_d = 4.43 [1.93, 6.86], large"
    assert json.loads(found.to_json())["method"].startswith("mean difference / pooled SD")
    with pytest.raises(AttributeError):
        found.value = 0.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("size", "word"), [(0.1, "negligible"), (0.3, "small"), (0.6, "medium"), (0.9, "large"), (-0.9, "large")]
)
def test_magnitude_of_d_is_cohens_word(size: float, word: str) -> None:
    base = np.array([-1.0, 1.0] * 20)
    assert cohens_d(base, base + size * base.std(ddof=1)).magnitude == word


def test_zeros_and_ones_are_pointed_to_sizes_for_shares() -> None:
    assert "cohens_h" in cohens_d([0, 1, 0, 1], [1, 1, 0, 1]).notes[0]
    assert "cramers_v" in eta_squared([0, 1, 0, 1], [1, 1, 0, 1]).notes[0]


def test_what_is_missing_is_left_out_and_said() -> None:
    found = cohens_dz([1, math.nan, 2, 4, 3], [2, 5, 4, math.nan, 3])
    assert found.value == cohens_dz([1, 2, 3], [2, 4, 3]).value
    assert "2 incomplete pairs left out" in found.notes
    assert "1 missing values left out" in odds_ratio([0, 1, 1], [1, math.nan, 0]).notes[0]
    assert "1 incomplete items left out" in kendalls_w([1, 2, math.nan], [2, 1, 3], [3, 5, 6]).notes


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cohens_d([], [1, 2]), "control"),
        (lambda: cohens_d([1.0], [1, 2]), "2 values or more"),
        (lambda: cohens_d([1, 1, 1], [2, 2, 2]), "no spread|any spread"),
        (lambda: cohens_d([1, math.nan], [2, 3]), "2 values or more"),
        (lambda: cohens_d([1, math.inf, 2], [2, 3]), "infinity"),
        (lambda: cohens_dz([1, 2, 3], [1, 2]), "Pair them by item"),
        (lambda: cohens_dz([1, 2, 3], [2, 3, 4]), "no spread"),
        (lambda: glass_delta([1, 1], [2, 3]), "no spread"),
        (lambda: rank_biserial([1, 2], [1, 2], paired=True), "no pair differs"),
        (lambda: eta_squared([1, 2, 3]), "one argument each"),
        (lambda: eta_squared([1, 1], [2, 2]), "no spread"),
        (lambda: epsilon_squared([1, 2], [2, 3], variant="other"), "no variant"),  # type: ignore[arg-type]
        (lambda: kendalls_w([1, 2], [1, 2]), "tells the conditions apart"),
        (lambda: kendalls_w([1, 2], [1, 2, 3]), "as many items each"),
        (lambda: cramers_v([[1, 2], [0, 0]]), "all zeros"),
        (lambda: cramers_v([[0.2, 0.3], [0.1, 0.4]]), "not shares"),
        (lambda: odds_ratio([0, 1]), "two samples"),
        (lambda: odds_ratio([0, 2], [1, 1]), "0 and 1"),
        (lambda: odds_ratio([1, 1], [1, 1]), "same everywhere"),
    ],
)
def test_nonsense_is_refused_with_the_mend(call: Callable[[], Effect], words: str) -> None:
    with pytest.raises(StatsError, match=words):
        call()


@pytest.mark.parametrize("gap", [1e2, 1e4, 1e6, 1e8])
def test_samples_however_far_apart_have_an_interval(gap: float) -> None:
    before, after = np.array([-1.0, 0.0, 1.0]), np.array([-1.0, 0.0, 1.0]) + gap
    for size in (cohens_d, hedges_g, glass_delta, eta_squared, omega_squared):
        value, low, high = limits(size(before, after))
        assert 0 < low < value <= high * (1 + 1e-9)


def test_the_interval_of_the_paired_rank_biserial_correlation_covers_away_from_zero() -> None:
    rng = np.random.default_rng(6)
    many = rng.normal(0.5, 1, 100_000)
    ranks = scipy_stats.rankdata(np.abs(many))
    truth = float(np.sum(np.sign(many) * ranks) / ranks.sum())
    covered = 0
    for _ in range(300):
        _, low, high = limits(rank_biserial(np.zeros(40), rng.normal(0.5, 1, 40), paired=True))
        covered += low <= truth <= high
    assert 0.92 < covered / 300 < 0.99
