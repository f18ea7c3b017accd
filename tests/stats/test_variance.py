"""Variance components, intraclass correlation, trends and splits, held to R, to published figures and to simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crucible_ray.errors import StatsError
from crucible_ray.stats import clustered_difference
from crucible_ray.stats.variance import components, icc, split, trend

RATINGS = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]])
"""Shrout and Fleiss 1979, Psychological Bulletin 86, table 2: six targets, four judges."""

CROSSED = np.array([
    18.35, 15.69, 16.64, 17.82, 18.68, 16.3, 7.5, 7.32, 7.34, 8.69, 9.96, 10.18, 10.66, 12.26, 10.11, 10.85, 11.06,
    13.42, 10.73, 11.99, 7.29, 11.74, 9.89, 9.92, 7.28, 8.81, 7.98, 9.63, 7.64, 10.24, 8.95, 11.06, 9.69, 10.38, 8.45,
    7.95, 10.57, 10.83, 9.03, 10.14, 10.16, 11.29, 10.66, 15.62, 11.27, 11.99, 10.8, 11.39, 9.96, 11.45, 10.63, 11.46,
    8.47, 12.8, 17.54, 14.83, 16.01, 16.16, 16.36, 14.94, 13.7, 9.48, 11.36, 11.57, 12.8, 12.67, 13.93, 14.61, 14.51,
    13.97, 15.53, 17.91,
]).reshape(12, 3, 2)  # fmt: skip


def test_icc_is_shrout_and_fleisss_and_its_normal_interval_mcgraw_and_wongs() -> None:
    found = icc(RATINGS, normal=True)
    assert found is not None
    # R: msb and msw of anova(lm(y ~ target)), limits by qf; psych::ICC prints .17, -.13 and .72, and .44
    expected = (0.165741768405, -0.132932324875, 0.722560062328, 0.442797133679)
    assert (found.value, found.ci_low, found.ci_high, found.mean) == pytest.approx(expected, rel=1e-9)


def test_components_are_those_of_lme4() -> None:
    found = components(CROSSED)
    # R: lme4::lmer(y ~ condition + (1 | item) + (1 | item:condition), REML = TRUE)
    reference = (7.754272452, 0.440622141, 1.464685100)
    assert (found.items, found.items_x_conditions, found.resamples) == pytest.approx(reference, rel=1e-5)
    assert found.total == pytest.approx(sum(part for part in found if part is not None))


def test_components_recover_what_was_planted() -> None:
    rng = np.random.default_rng(1)
    n, r, k = 4_000, 3, 3
    level = np.array([0.0, 1.0, 2.0])  # sum of squares over K - 1: 1
    y = level + rng.normal(0, 2, (n, 1, 1)) + rng.normal(0, 1, (n, 1, k)) + rng.normal(0, 1.5, (n, r, k))
    found = components(y)
    assert tuple(found) == pytest.approx((4.0, 1.0, 1.0, 2.25), rel=0.08)


def test_one_repeat_leaves_resamples_within_the_interaction() -> None:
    found = components(CROSSED[:, :1, :])
    assert found.resamples is None
    assert found.items_x_conditions is not None
    alone = components(CROSSED[:, :, :1])
    assert (alone.conditions, alone.items_x_conditions) == (None, None)
    assert alone.resamples is not None


def test_rounding_is_no_variance() -> None:
    costs = np.broadcast_to(np.array([0.1 + 0.2, 0.7]), (50, 3, 2))
    found = components(costs)
    assert (found.items, found.items_x_conditions, found.resamples) == (0.0, 0.0, 0.0)
    assert icc(np.full((50, 3), 0.1 + 0.2)) is None


def test_identical_repeats_have_an_icc_of_one_and_no_interval() -> None:
    found = icc(np.repeat([[0.0], [1.0], [1.0]], 3, axis=1))
    assert found is not None
    assert (found.value, found.mean, found.ci_low) == (1.0, 1.0, None)


def test_the_interval_of_an_icc_of_right_and_wrong_answers_covers_as_it_says() -> None:
    rng, hits = np.random.default_rng(2), 0
    for _ in range(400):  # beta(2, 2): the correlation of two answers to one item is 1 / 5
        found = icc((rng.random((100, 3)) < rng.beta(2, 2, (100, 1))).astype(float))
        assert found is not None
        assert found.ci_low is not None
        assert found.ci_high is not None
        hits += found.ci_low <= 0.2 <= found.ci_high
    assert 0.92 <= hits / 400 <= 0.98


def test_a_trend_has_the_cluster_robust_error_of_rs_sandwich() -> None:
    y, item, repeat = CROSSED.ravel(), np.repeat(np.arange(12), 6), np.tile(np.repeat([1, 2, 3], 2), 12)
    x = repeat - 2.0 + ((item + 1) % 4 - 1.5)
    found = trend(y - y.mean(), x - x.mean(), item)
    # R: lm(u ~ 0 + x), sqrt(sandwich::vcovCL(fit, cluster = item, type = "HC0", cadjust = TRUE))
    assert found.estimate == pytest.approx(-0.260253623188, rel=1e-9)
    assert found.statistic == pytest.approx(-0.260253623188 / 0.286105273785, rel=1e-9)
    assert found.df == 11


def test_a_split_gives_back_the_standard_error_that_the_run_had() -> None:
    diff = CROSSED[:, :, 1] - CROSSED[:, :, 0]
    found, run = split(diff), clustered_difference(diff)
    assert run.statistic is not None
    assert run.estimate is not None
    assert found.between > 0
    assert found.se(3) == pytest.approx(run.estimate / run.statistic, rel=1e-9)


def test_a_split_foretells_the_spread_of_other_splits_of_the_same_calls() -> None:
    rng = np.random.default_rng(3)

    def run(n: int, r: int, runs: int) -> np.ndarray:
        return rng.normal(0, 1, (runs, n, 1)) + rng.normal(0, 2, (runs, n, r))

    found = split(run(4_000, 3, 1)[0])
    for repeats, items in ((1, 300), (3, 100), (10, 30)):
        seen = run(items, repeats, 2_000).mean(axis=(1, 2)).std()
        assert math.sqrt((found.between + found.within / repeats) / items) == pytest.approx(seen, rel=0.08)
    assert found.se(1) < found.se(3) < found.se(10)
    assert found.worth == pytest.approx((1 + 4) / (1 + 4 / 3), rel=0.08)


def test_identical_repeats_are_worth_one_answer() -> None:
    found = split(np.repeat(np.arange(5.0)[:, None], 4, axis=1))
    assert found.worth == 1.0
    assert found.within == 0.0


def test_what_cannot_be_told_apart_is_refused_with_the_reason() -> None:
    with pytest.raises(StatsError, match="two repeats or more"):
        split(np.zeros((10, 1)))
    with pytest.raises(StatsError, match="two repeats or more"):
        icc(np.zeros((10, 1)))
    with pytest.raises(StatsError, match="without NaN"):
        components(np.full((3, 2, 2), np.nan))
