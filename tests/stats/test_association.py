"""Rank correlation and mean scores within items, held to scipy's tests of the same hypotheses and to enumeration."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from crucible_ray.stats import cochran_q
from crucible_ray.stats.association import mean_scores, spearman


def test_rho_is_scipys_and_with_two_values_the_test_is_wilcoxons_rank_sum() -> None:
    rng = np.random.default_rng(1)
    difficulty = np.round(rng.random(200), 1)  # many ties
    lost = (rng.random(200) < 0.2 + 0.3 * difficulty).astype(float)
    found = spearman(difficulty, lost)
    assert found.estimate == pytest.approx(stats.spearmanr(difficulty, lost).statistic, rel=1e-12)
    rank_sum = stats.mannwhitneyu(
        difficulty[lost == 1], difficulty[lost == 0], use_continuity=False, method="asymptotic"
    )
    assert found.p_value == pytest.approx(rank_sum.pvalue, rel=1e-9)


def test_few_lost_items_are_judged_by_permutations() -> None:
    difficulty = np.array([0.1, 0.3, 0.3, 0.5, 0.6, 0.7, 0.9])
    share = np.array([0.0, 0.0, 0.0, 0.5, 0.0, 0.5, 1.0])
    ranks = stats.rankdata(difficulty) - 4
    sums = np.array([abs(np.dot(ranks, order)) for order in permutations(stats.rankdata(share))])
    exact = float((sums >= abs(np.dot(ranks, stats.rankdata(share))) - 1e-9).mean())
    found = spearman(difficulty, share)
    assert found.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 9_999))
    assert spearman(difficulty, share).p_value == found.p_value


def test_of_many_items_only_the_few_that_are_off_are_placed() -> None:
    rng = np.random.default_rng(2)
    difficulty, lost = rng.random(3_000), np.zeros(3_000)
    lost[np.argsort(difficulty)[[100, 900, 1500, 2900]]] = 1.0
    near = stats.mannwhitneyu(difficulty[lost == 1], difficulty[lost == 0], use_continuity=False).pvalue
    assert spearman(difficulty, lost).p_value == pytest.approx(near, abs=0.05)
    lost[:] = 0.0
    lost[np.argsort(difficulty)[-8:]] = 1.0
    assert (spearman(difficulty, lost).p_value or 1.0) < 0.001


def test_mean_scores_is_cochrans_q_of_0_and_1_and_friedmans_chi_square_of_ranks() -> None:
    rng = np.random.default_rng(3)
    binary = (rng.random((40, 3)) < [0.1, 0.2, 0.4]).astype(float)
    q = cochran_q(*binary.T)
    found = mean_scores(*binary.T)
    assert (found.statistic, found.p_value) == pytest.approx((q.statistic, q.p_value), rel=1e-12)
    scores = rng.random((25, 4))
    ranks = stats.rankdata(scores, axis=1)
    friedman = stats.friedmanchisquare(*scores.T)
    assert mean_scores(*ranks.T).statistic == pytest.approx(friedman.statistic, rel=1e-9)


def test_what_never_varies_is_undefined_and_says_why() -> None:
    assert spearman([1.0, 2.0, 3.0], [1.0, 1.0, 1.0]).p_value is None
    assert mean_scores([1.0, 0.0], [1.0, 0.0]).notes == ("no item tells the conditions apart",)
