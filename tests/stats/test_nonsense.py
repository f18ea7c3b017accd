"""Whatever the tests are given: an answer, or an error of ours that says what to do; no NaN and no warning."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from crucible_ray import stats
from crucible_ray.errors import StatsError

NAN = float("nan")
USUAL = [0.3, 0.1, 0.2, 0.5, 0.9, 0.7]
VALUES: dict[str, list[Any]] = {
    "none at all": [],
    "one": [1.0],
    "constant": [0.1] * 6,
    "missing": [NAN] * 6,
    "partly missing": [NAN, 1, 2, 3, NAN, 2.5],
    "zeros and ones": [0, 1, 0, 1, 1, 0],
    "far from zero": [1e15 + k for k in (1, 2, 3, 0, 0, 1)],
    "huge": [1e300, 2e300, 3e300, 1e300, 5e300, 4e300],
    "tiny": [1e-300, 2e-300, 3e-300, 4e-300, 1e-300, 2e-300],
    "text": ["a", "b"],
    "repeats": [[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0], [1, 0, 0], [1, 1, 0]],
}
NAMES = """student_t welch_t mann_whitney brunner_munzel permutation_test bootstrap_difference two_proportion_z paired_t
wilcoxon sign_test paired_permutation mcnemar f_test compare anova welch_anova kruskal_wallis repeated_measures_anova
friedman cochran_q levene brown_forsythe bartlett fligner tukey_hsd games_howell dunn dunnett nemenyi pairwise max_t"""
ALONE = "shapiro_wilk anderson_darling lilliefors dagostino_k2 jarque_bera"


def _look(found: Any) -> None:
    json.loads(found.to_json())
    assert str(found)
    assert found.interpretation
    for part in (found,) if hasattr(found, "p_value") else found.pairs:
        for name in ("statistic", "df", "p_value", "estimate", "ci_low", "ci_high", "p_adjusted"):
            value = getattr(part, name, None)
            assert value is None or not math.isnan(value), name
        assert part.p_value is None or 0 <= part.p_value <= 1


def _try(run: Callable[..., Any], *values: Any, **options: Any) -> None:
    try:
        found = run(*values, **options)
    except StatsError:
        return
    _look(found)


@pytest.mark.parametrize("name", NAMES.split())
def test_two_samples_of_any_kind_have_an_answer_or_a_reason(name: str) -> None:
    run = getattr(stats, name)
    for values in VALUES.values():
        _try(run, values, USUAL)
        _try(run, USUAL, values)
        _try(run, values, values)


@pytest.mark.parametrize("name", ALONE.split())
def test_one_sample_of_any_kind_has_an_answer_or_a_reason(name: str) -> None:
    for values in VALUES.values():
        _try(getattr(stats, name), values * 2)


def test_comparisons_of_any_kind_have_an_answer_or_a_reason() -> None:
    for values in VALUES.values():
        for options in (
            {"paired": True},
            {"paired": True, "margin": 0.1},
            {"paired": True, "kind": "ordinal"},
            {"paired": True, "population": "benchmark"},
            {"paired": True, "clusters": [0, 0, 1, 1, 2, 2]},
            {"paired": True, "strata": [0, 0, 0, 1, 1, 1]},
            {"alternative": "less"},
        ):
            _try(stats.compare, values, USUAL, **options)


PLAIN = "mean_ci bootstrap_ci betting_sequence clustered_difference"
EFFECTS = (
    "cohens_d cohens_dz hedges_g glass_delta cliffs_delta rank_biserial vargha_delaney_a quantile_difference"
)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 5, NAN, math.inf])
def test_a_level_that_is_none_is_refused_by_everything_that_takes_one(alpha: float) -> None:
    other, zeros, ones = [0.4, 0.2, 0.1, 0.3, 0.8, 0.6], [0, 1, 0, 1, 1, 0], [1, 1, 0, 0, 1, 1]
    of_binary = {"mcnemar", "two_proportion_z", "cochran_q"}
    for name in f"{NAMES} {EFFECTS}".split():
        both = (zeros, ones) if name in of_binary else (USUAL, other)
        with pytest.raises(StatsError, match="it must lie between 0 and 1"):
            getattr(stats, name)(*both, alpha=alpha)
    for name in f"{ALONE} {PLAIN}".split():
        with pytest.raises(StatsError, match="it must lie between 0 and 1"):
            getattr(stats, name)(USUAL * 2, alpha=alpha)
    for name in ("chi_square", "fisher_exact", "cramers_v"):
        with pytest.raises(StatsError, match="it must lie between 0 and 1"):
            getattr(stats, name)([[5, 2], [3, 9]], alpha=alpha)
    for name in ("kendalls_w", "eta_squared", "omega_squared", "epsilon_squared"):
        with pytest.raises(StatsError, match="it must lie between 0 and 1"):
            getattr(stats, name)(USUAL, other, ones, alpha=alpha)


@pytest.mark.parametrize(
    "name", ["cohens_d", "cohens_dz", "hedges_g", "glass_delta", "eta_squared", "dunnett"]
)
def test_a_level_next_to_nothing_has_an_answer_or_a_reason(name: str) -> None:
    other = [0.4, 0.2, 0.1, 0.3, 0.8, 0.6]
    with pytest.raises(StatsError, match="too near 0 or 1"):
        getattr(stats, name)(USUAL, other, alpha=1e-20)
    assert getattr(stats, name)(USUAL, other, alpha=1e-4)


SAME = [[0.1] * 3, [0.7] * 3, [0.9] * 3] * 12
"""Scores of items that never vary over repeats."""


def _fewer(table: list[list[float]], repeats: int) -> list[list[float]]:
    return [row[:repeats] + [NAN] * (len(row) - repeats) for row in table]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kind": "bounded"},
        {"kind": "ordinal"},
        {"clusters": [0, 1, 2, 3] * 9},
        {"strata": [0] * 16 + [1] * 20},
        {"test": "macro_average", "strata": [0] * 16 + [1] * 20},
        {"test": "paired_t"},
        {"test": "wilcoxon"},
    ],
)
@pytest.mark.parametrize("repeats", [1, 2])
def test_the_rounding_of_means_over_unequal_repeats_is_no_difference(
    options: dict[str, Any], repeats: int
) -> None:
    found = stats.compare(SAME, _fewer(SAME, repeats), paired=True, **options)
    assert found.estimate == 0
    assert found.p_value is None or found.p_value == 1
    for beside in found.beside:
        assert beside.p_value is None or beside.p_value > 0.9


def test_integers_that_no_float_keeps_are_refused_instead_of_becoming_equal() -> None:
    start = 2**60
    later = [start + 2 * k for k in range(9)]
    with pytest.raises(StatsError, match=r"treatment holds integers above 2\^53"):
        stats.compare([0] * 9, later, paired=True)
    assert stats.compare([0] * 9, [each - start for each in later], paired=True).estimate == 8


def test_the_same_repeats_in_another_order_are_no_difference() -> None:
    table = [[(item * 7 + repeat * 13) % 29 / 10 for repeat in range(5)] for item in range(40)]
    turned = [row[item % 5 :] + row[: item % 5] for item, row in enumerate(table)]
    assert stats.compare(table, turned, paired=True).estimate == 0
    assert stats.compare(table, turned, paired=True, population="benchmark").estimate == 0
    assert stats.paired_t(table, turned).p_value is None


def test_the_rounding_of_means_tells_no_groups_apart() -> None:
    groups = {"a": SAME, "b": _fewer(SAME, 2), "c": _fewer(SAME, 1)}
    for found in (stats.compare_groups(groups, paired=True).family, stats.max_t(*groups.values())):
        assert found is not None
        assert {pair.estimate for pair in found.pairs} == {0.0}
        assert all(pair.p_adjusted is None or pair.p_adjusted == 1 for pair in found.pairs)


def test_a_small_difference_beside_large_values_stays_one() -> None:
    large = [[1e9, 1e9], [2e9, 2e9]] * 10
    small = [[0.001, 0.002]] * 20
    found = stats.compare(large + small, large + [[a + 1e-6, b + 2e-6] for a, b in small], paired=True)
    assert found.estimate == pytest.approx(7.5e-7)
