"""Wilson, clustered means, quantiles and Welch against independent answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.proportion import proportion_confint

from crucible_ray.errors import StatsError
from crucible_ray.stats import welch_t, wilson
from crucible_ray.stats.single import clustered_mean, items_for_quantile, quantile


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (81, 263), (2451, 3141)])
def test_wilson_matches_statsmodels(successes: int, n: int) -> None:
    reference = proportion_confint(successes, n, method="wilson")
    assert wilson(successes, n) == pytest.approx(reference, rel=1e-9, abs=1e-12)


def test_wilson_refuses_more_successes_than_trials() -> None:
    with pytest.raises(StatsError, match="no proportion"):
        wilson(3, 2)


def test_welch_matches_scipy() -> None:
    rng = np.random.default_rng(3)
    control, treatment = rng.normal(0, 1, 30), rng.normal(0.5, 3, 45)
    result = welch_t(control, treatment)
    reference = scipy_stats.ttest_ind(treatment, control, equal_var=False)
    interval = reference.confidence_interval(0.95)
    assert (result.statistic, result.df, result.p_value) == pytest.approx(
        (reference.statistic, reference.df, reference.pvalue), rel=1e-9
    )
    assert (result.ci_low, result.ci_high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_welch_without_spread_is_undefined_rather_than_infinite() -> None:
    assert welch_t([1.0, 1.0], [0.0, 0.0]).p_value is None


def test_clustered_mean_with_equal_repeats_is_t_on_item_means() -> None:
    values = np.random.default_rng(4).normal(size=(25, 3))
    mean, interval = clustered_mean(values)
    means = values.mean(axis=1)
    half = scipy_stats.t.ppf(0.975, 24) * means.std(ddof=1) / math.sqrt(25)
    assert mean == pytest.approx(values.mean(), rel=1e-12)
    assert interval == pytest.approx((values.mean() - half, values.mean() + half), rel=1e-9)


def test_clustered_mean_has_no_interval_where_nothing_varies() -> None:
    assert clustered_mean(np.full((5, 2), 0.25)) == (0.25, None)


@pytest.mark.parametrize(("q", "items"), [(0.5, 6), (0.95, 72), (0.99, 368)])
def test_a_quantile_needs_enough_items_for_an_interval(q: float, items: int) -> None:
    assert items_for_quantile(q) == items
    values = np.random.default_rng(1).exponential(size=(items, 1))
    assert quantile(values[:-1], q)[1] is None
    assert quantile(values, q)[1] is not None


def test_quantile_interpolates_as_numpy_does() -> None:
    values = np.random.default_rng(2).exponential(size=(50, 3))
    for q in (0.5, 0.95, 0.99):
        assert quantile(values, q)[0] == pytest.approx(float(np.quantile(values, q)), rel=1e-12)


def test_a_censored_value_beyond_the_quantile_moves_it_no_further_than_its_rank() -> None:
    values = np.arange(1.0, 101.0)[:, None]
    censored = values.copy()
    censored[-1] = np.inf
    assert quantile(censored, 0.5)[0] == quantile(values, 0.5)[0]
    assert quantile(censored, 0.995)[0] is None


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_interval_of_a_median_covers_it_in_about_95_percent(repeats: int) -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(400):
        values = np.exp(rng.normal(size=(60, 1)) + 0.5 * rng.normal(size=(60, repeats)))
        _, interval = quantile(values, 0.5)
        assert interval is not None
        covered += interval.low <= 1.0 <= interval.high
    assert 0.92 <= covered / 400 <= 0.99
