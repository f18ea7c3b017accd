"""Several groups, tables, assumptions and families: what they keep to, and what they refuse."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import nchypergeom_fisher
from statsmodels.stats.multitest import multipletests

from crucible_ray import stats
from crucible_ray.errors import StatsError
from crucible_ray.stats import FamilyResult, TestResult
from crucible_ray.stats.families import CORRECTIONS
from tests.stats import data

Test = Callable[..., TestResult]
Family = Callable[..., FamilyResult]
GROUPS: list[Test] = [
    stats.anova,
    stats.welch_anova,
    stats.kruskal_wallis,
    stats.levene,
    stats.brown_forsythe,
    stats.bartlett,
    stats.fligner,
]
SAME_ITEMS: list[Test] = [stats.repeated_measures_anova, stats.friedman]
NORMALITY: list[Test] = [
    stats.shapiro_wilk,
    stats.anderson_darling,
    stats.lilliefors,
    stats.dagostino_k2,
    stats.jarque_bera,
]
FAMILIES: list[Family] = [
    stats.tukey_hsd,
    stats.games_howell,
    stats.dunn,
    stats.dunnett,
    stats.nemenyi,
    stats.pairwise,
    stats.max_t,
]


def _name(test: Callable[..., object]) -> str:
    return test.__name__


@pytest.mark.parametrize("test", [*GROUPS, *SAME_ITEMS], ids=_name)
def test_the_order_of_groups_a_shift_and_a_scale_change_nothing(test: Test) -> None:
    plain = test(*data.PLANTS)
    assert test(*data.PLANTS[::-1]).statistic == pytest.approx(plain.statistic)
    assert test(*(7 * group - 3 for group in data.PLANTS)).p_value == pytest.approx(plain.p_value, rel=1e-6)


@pytest.mark.parametrize("test", NORMALITY, ids=_name)
def test_normality_does_not_depend_on_place_and_scale(test: Test) -> None:
    values = np.random.default_rng(1).gumbel(size=60)
    plain, moved = test(values), test(1e4 + 3 * values)
    assert moved.statistic == pytest.approx(plain.statistic, rel=1e-6)
    assert test(np.random.default_rng(2).exponential(size=200)).p_value < 1e-4  # type: ignore[operator]
    assert test(np.random.default_rng(3).normal(size=200)).p_value > 0.05  # type: ignore[operator]


@pytest.mark.parametrize("test", NORMALITY, ids=_name)
def test_normality_of_too_few_or_equal_values_is_refused_or_undefined(test: Test) -> None:
    with pytest.raises(StatsError, match="or more"):
        test([1.0, 2.0])
    constant = test([0.1] * 30)
    assert constant.p_value is None
    assert "the same" in constant.notes[0]


def test_the_guides_name_is_shapiro_wilk() -> None:
    assert stats.test_normality(data.SLEEP_1) == stats.shapiro_wilk(data.SLEEP_1)


def test_two_groups_are_students_t_squared_and_welchs() -> None:
    for several, two in ((stats.anova, stats.student_t), (stats.welch_anova, stats.welch_t)):
        f, t = several(data.SLEEP_1, data.SLEEP_2), two(data.SLEEP_1, data.SLEEP_2)
        assert f.statistic == pytest.approx((t.statistic or 0) ** 2)
        assert f.p_value == pytest.approx(t.p_value)
    repeated, paired = (
        test(data.SLEEP_1, data.SLEEP_2) for test in (stats.repeated_measures_anova, stats.paired_t)
    )
    assert repeated.p_value == pytest.approx(paired.p_value)


def test_cochrans_q_of_two_is_mcnemars_score_test() -> None:
    rng = np.random.default_rng(4)
    control, treatment = (rng.random((2, 80)) < 0.6).astype(float)
    assert stats.cochran_q(control, treatment).p_value == pytest.approx(
        stats.mcnemar(control, treatment).p_value
    )
    with pytest.raises(StatsError, match="friedman"):
        stats.cochran_q([0.5, 1.0], [1.0, 0.0])


def test_chi_square_of_two_rows_is_the_z_test_of_two_shares() -> None:
    z = stats.two_proportion_z(data.outcomes(48, 80), data.outcomes(56, 70))
    table = stats.chi_square([[48, 32], [56, 14]])
    assert table.p_value == pytest.approx(z.p_value)
    assert table.effect_sizes["cramers_v"] == pytest.approx(abs(z.statistic or 0) / math.sqrt(150))


def test_tables_that_are_none_are_refused_with_what_to_do() -> None:
    for table, word in (
        ([1, 2], "shape"),
        ([[0.2, 0.8], [0.5, 0.5]], "counts, not shares"),
        ([[1, -1], [2, 3]], "whole numbers"),
        ([[0, 0], [2, 3]], "all zeros"),
    ):
        for test in (stats.chi_square, stats.fisher_exact):
            with pytest.raises(StatsError, match=word):
                test(table)
    with pytest.raises(StatsError, match="chi_square"):
        stats.fisher_exact([[1, 2, 3], [4, 5, 6]])
    assert "fisher_exact" in stats.chi_square([[3, 1], [1, 3]]).notes[0]


def test_the_limits_of_the_odds_ratio_leave_half_of_alpha_in_each_tail() -> None:
    found = stats.fisher_exact([[3, 1], [1, 3]])
    assert found.ci_low is not None
    assert found.ci_high is not None
    upper, lower = (nchypergeom_fisher(8, 4, 4, odds) for odds in (found.ci_high, found.ci_low))
    assert upper.cdf(3) == pytest.approx(0.025, rel=1e-6)
    assert lower.sf(2) == pytest.approx(0.025, rel=1e-6)


@pytest.mark.parametrize("test", [*GROUPS, *SAME_ITEMS, *FAMILIES], ids=_name)
def test_too_little_is_refused(test: Test) -> None:
    with pytest.raises(StatsError):
        test([1.0, 2.0, 3.0])
    with pytest.raises(StatsError):
        test([1.0, 2.0, 3.0], [])
    with pytest.raises(StatsError):
        test([1.0, 2.0, float("inf")], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("test", [*GROUPS, *SAME_ITEMS], ids=_name)
def test_groups_without_any_spread_leave_a_test_undefined(test: Test) -> None:
    result = test([1.0] * 5, [1.0] * 5, [1.0] * 5)
    assert result.p_value is None
    assert result.notes
    json.loads(result.to_json())


def test_means_that_differ_without_spread_are_undefined_rather_than_infinitely_sure() -> None:
    assert stats.anova([1.0, 1.0], [2.0, 2.0]).p_value is None
    assert stats.tukey_hsd([1.0, 1.0], [2.0, 2.0]).pairs[0].p_adjusted is None
    assert stats.max_t([1.0, 2.0, 3.0], [2.0, 3.0, 4.0]).pairs[0].p_value is None


def test_shapiro_wilk_of_too_many_names_another() -> None:
    with pytest.raises(StatsError, match="anderson_darling"):
        stats.shapiro_wilk(np.arange(6_000.0))


@pytest.mark.parametrize("family", FAMILIES, ids=_name)
def test_adjusted_p_and_simultaneous_interval_decide_alike(family: Family) -> None:
    rng = np.random.default_rng(6)
    for _ in range(2):
        groups = [rng.normal(shift, 1, 15) for shift in (0, 0.4, 0.9)]
        kwargs = {"correction": "bonferroni"} if family is stats.pairwise else {}
        found = family(*groups, **kwargs)
        assert found.pairs
        for pair in found:
            assert pair.p_value is not None
            assert pair.p_adjusted is not None
            assert pair.p_adjusted >= pair.p_value - 1e-12
            if pair.ci_low is not None and pair.ci_high is not None:
                assert (pair.p_adjusted < 0.05) == (pair.ci_low > 0 or pair.ci_high < 0), pair


@pytest.mark.parametrize("family", FAMILIES, ids=_name)
def test_a_family_names_its_pairs_and_goes_to_json(family: Family) -> None:
    found = family(*data.PLANTS, names=["control", "first", "second"])
    assert found["first", "control"].estimate < 0
    assert found["second", "control"].estimate > 0
    assert json.loads(found.to_json())["pairs"][0]["a"] == "first"
    assert "first - control" in str(found)
    with pytest.raises(StatsError, match="second - control"):
        found["nobody", "control"]
    with pytest.raises(StatsError, match="different names"):
        family(*data.PLANTS, names=["one", "one", "two"])


def test_against_a_baseline_there_is_one_pair_less_than_groups() -> None:
    for family in (stats.dunnett, stats.max_t, stats.pairwise):
        found = family(*data.PLANTS, baseline="b", names=["a", "b", "c"])
        assert [(pair.a, pair.b) for pair in found] == [("a", "b"), ("c", "b")]
        with pytest.raises(StatsError, match="no group 'd'"):
            family(*data.PLANTS, baseline="d", names=["a", "b", "c"])


def test_dunnett_has_the_points_of_his_distribution() -> None:
    # Two-sided 5 % points at equal sizes, by R's integrate over Dunnett's (1955) double integral: 3 treatments, 20 df;
    # 9 treatments, 60 df.
    for k, size, point in ((4, 6, 2.54035), (10, 7, 2.76894)):
        groups = [np.random.default_rng(i).normal(size=size) for i in range(k)]
        pair = stats.dunnett(*groups).pairs[0]
        assert pair.statistic is not None
        assert pair.ci_high is not None
        half = pair.ci_high - pair.estimate
        assert half / (pair.estimate / pair.statistic) == pytest.approx(point, abs=0.006)


def test_one_pair_by_the_largest_t_is_the_paired_t() -> None:
    pair, paired = (
        stats.max_t(data.SLEEP_1, data.SLEEP_2).pairs[0],
        stats.paired_t(data.SLEEP_1, data.SLEEP_2),
    )
    assert pair.p_adjusted == paired.p_value
    assert pair.ci_low == pytest.approx(paired.ci_low)


def test_the_largest_t_holds_a_family_of_shared_items_to_its_level() -> None:
    rng = np.random.default_rng(11)
    wrong = 0
    for _ in range(400):
        skill = rng.normal(0, 1, (40, 1))
        scores = (rng.normal(0, 1, (40, 4)) + skill > -0.4).astype(float)
        found = stats.max_t(*scores.T, draws=2_000)
        wrong += any(pair.p_adjusted is not None and pair.p_adjusted < 0.05 for pair in found)
    assert 0.02 <= wrong / 400 <= 0.085  # .05 within three standard errors of 400 draws


@pytest.mark.parametrize("method", CORRECTIONS[1:])
def test_corrections_agree_with_statsmodels(method: str) -> None:
    theirs = {"holm_sidak": "holm-sidak", "hochberg": "simes-hochberg"}
    rng = np.random.default_rng(9)
    for size in (1, 2, 5, 12):
        p_values = rng.random(size) ** 3
        expected = multipletests(p_values, method=theirs.get(method, method))[1]
        assert stats.correct(p_values, method) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert stats.correct([0.01, 0.01, 0.5], method) == pytest.approx(
        multipletests([0.01, 0.01, 0.5], method=theirs.get(method, method))[1], rel=1e-9
    )


def test_corrections_refuse_what_they_do_not_know() -> None:
    with pytest.raises(StatsError, match="holm_sidak"):
        stats.correct([0.1], "tukey")
    for p_values in ([1.2], [float("nan")], [[0.1, 0.2]]):
        with pytest.raises(StatsError, match="from 0 to 1"):
            stats.correct(p_values)
    assert stats.correct([]).size == 0


def test_a_tiny_p_keeps_its_digits_under_sidak() -> None:
    assert stats.correct([1e-20, 0.5], "sidak")[0] == pytest.approx(2e-20, rel=1e-12)


def test_zeros_and_ones_name_the_test_made_for_them() -> None:
    groups = [data.outcomes(successes, 20) for successes in (8, 12, 15)]
    assert "chi_square" in stats.anova(*groups).notes[-1]
    assert "cochran_q" in stats.repeated_measures_anova(*groups).notes[-1]
