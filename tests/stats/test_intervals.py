"""Intervals in closed form and by the bootstrap: independent answers, properties, coverage."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from scipy import stats as scipy_stats

from crucible_ray.errors import StatsError
from crucible_ray.stats import (
    bootstrap_ci,
    clopper_pearson,
    cluster_bootstrap_ci,
    mean_ci,
    newcombe,
    newcombe_paired,
    quantile_difference,
)
from crucible_ray.stats.bootstrap import Method

SCIPYS: dict[Method, Literal["percentile", "basic", "BCa"]] = {
    "percentile": "percentile",
    "basic": "basic",
    "bca": "BCa",
}


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (81, 263), (1, 2)])
def test_clopper_pearson_matches_scipys_exact_interval(successes: int, n: int) -> None:
    reference = scipy_stats.binomtest(successes, n).proportion_ci(method="exact")
    assert clopper_pearson(successes, n) == pytest.approx((reference.low, reference.high), rel=1e-9)


def test_newcombes_intervals_swap_with_their_samples_and_stay_inside_one() -> None:
    rng = np.random.default_rng(6)
    for _ in range(30):
        before, after = (rng.random((2, 14)) < rng.random((2, 1))).astype(float)
        for interval in (newcombe, newcombe_paired):
            low, high = interval(before, after)
            assert interval(after, before) == pytest.approx((-high, -low))
            assert -1 <= low <= after.mean() - before.mean() <= high <= 1


def test_pairs_that_agree_have_a_shorter_interval_than_independent_samples() -> None:
    before = np.array([1] * 30 + [0] * 20)
    after = before.copy()
    after[[30, 31, 32]] = 1
    low, high = newcombe_paired(before, after)
    unpaired = newcombe(before, after)
    assert high - low < 0.7 * (unpaired.high - unpaired.low)


@pytest.mark.parametrize("method", ["percentile", "basic", "bca"])
@pytest.mark.parametrize("data", ["scores", "skewed"])
def test_the_bootstrap_of_a_mean_agrees_with_scipys(method: Method, data: str) -> None:
    rng = np.random.default_rng(7)
    values = rng.exponential(1, 400) if data == "skewed" else (rng.random(400) < 0.8).astype(float)
    ours = bootstrap_ci(values, method=method, resamples=20_000)
    reference = scipy_stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, batch=500, method=SCIPYS[method], rng=np.random.default_rng(8)
    ).confidence_interval
    width = reference.high - reference.low
    assert ours == pytest.approx((reference.low, reference.high), abs=0.03 * width)


def test_any_statistic_with_an_axis_can_be_bootstrapped() -> None:
    rng = np.random.default_rng(9)
    values = rng.normal(3, 1, 101)
    by_name = bootstrap_ci(values, "median", method="percentile")
    assert by_name == bootstrap_ci(values, np.median, method="percentile")
    reference = scipy_stats.bootstrap(
        (values,), np.std, n_resamples=9_000, method="BCa", batch=500, rng=np.random.default_rng(1)
    ).confidence_interval
    assert bootstrap_ci(values, np.std) == pytest.approx((reference.low, reference.high), abs=0.02)


def test_a_bootstrap_is_the_same_again_with_its_seed_and_moves_with_the_data() -> None:
    values = np.random.default_rng(10).exponential(1, 60)
    found = bootstrap_ci(values, seed=3)
    assert found == bootstrap_ci(values, seed=3) != bootstrap_ci(values, seed=4)
    assert bootstrap_ci(values * 8 + 16, seed=3) == pytest.approx([8 * x + 16 for x in found], rel=1e-6)


def test_resampling_by_counts_is_resampling_by_indices() -> None:
    """Means of thirds go by counts; a hair of noise on each makes them all distinct, and they go by indices."""
    rng = np.random.default_rng(11)
    thirds = rng.integers(0, 4, 2_000) / 3
    distinct = thirds + rng.normal(0, 1e-7, 2_000)
    by_counts = bootstrap_ci(thirds, resamples=20_000)
    by_indices = bootstrap_ci(distinct, resamples=20_000)
    assert by_counts == pytest.approx(by_indices, abs=0.03 * (by_counts.high - by_counts.low))


def test_clusters_widen_the_interval_as_much_as_their_likeness_says() -> None:
    rng = np.random.default_rng(12)
    shared = np.repeat(rng.normal(0, 1, 200), 5)
    clusters = np.repeat(np.arange(200), 5)
    alone, together = bootstrap_ci(shared), cluster_bootstrap_ci(shared, clusters)
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(math.sqrt(5), rel=0.05)


@pytest.mark.parametrize("method", ["percentile", "basic", "bca"])
def test_clusters_of_unequal_size_agree_with_scipys_paired_bootstrap_of_a_ratio(method: Method) -> None:
    rng = np.random.default_rng(13)
    sizes = rng.integers(1, 9, 150)
    values = rng.normal(np.repeat(rng.normal(2, 1, 150), sizes), 1)
    clusters = np.repeat([f"passage {number}" for number in range(150)], sizes)
    order = rng.permutation(len(values))
    ours = cluster_bootstrap_ci(values[order], clusters[order], method=method, resamples=20_000)
    sums = np.array([values[clusters == name].sum() for name in dict.fromkeys(clusters)])

    def ratio(tops: np.ndarray, bottoms: np.ndarray, axis: int = -1) -> np.ndarray:
        quotient: np.ndarray = tops.sum(axis=axis) / bottoms.sum(axis=axis)
        return quotient

    reference = scipy_stats.bootstrap(
        (sums, sizes.astype(float)),
        ratio,
        paired=True,
        vectorized=True,
        n_resamples=20_000,
        batch=500,
        method=SCIPYS[method],
        rng=np.random.default_rng(1),
    ).confidence_interval
    width = reference.high - reference.low
    assert ours == pytest.approx((reference.low, reference.high), abs=0.03 * width)


def test_a_difference_of_quantiles_covers_the_truth_from_its_least_number_of_items_on() -> None:
    rng = np.random.default_rng(14)
    truth = 0.3 * math.log(20)  # of p95 of exponentials with means 1.3 and 1
    covered = 0
    for seed in range(150):
        found = quantile_difference(
            rng.exponential(1, 150), rng.exponential(1.3, 150), 0.95, seed=seed, resamples=1_000
        )
        assert found.ci_low is not None
        assert found.ci_high is not None
        covered += found.ci_low <= truth <= found.ci_high
    assert 0.88 < covered / 150 <= 1


def test_quantiles_drawn_by_their_ranks_are_those_of_whole_resamples() -> None:
    rng = np.random.default_rng(15)
    before, after = rng.exponential(1, 90), rng.exponential(1.5, 80)
    found = quantile_difference(before, after, 0.9, resamples=40_000)
    reference = scipy_stats.bootstrap(
        (before, after),
        lambda x, y, axis: np.quantile(y, 0.9, axis=axis) - np.quantile(x, 0.9, axis=axis),
        vectorized=True,
        n_resamples=20_000,
        batch=1_000,
        method="percentile",
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert found.value == pytest.approx(np.quantile(after, 0.9) - np.quantile(before, 0.9))
    width = reference.high - reference.low
    assert (found.ci_low, found.ci_high) == pytest.approx((reference.low, reference.high), abs=0.06 * width)


def test_paired_quantiles_gain_from_what_the_pairs_share() -> None:
    rng = np.random.default_rng(16)
    shared = rng.exponential(5, 100)
    found = [
        quantile_difference(shared, shared + rng.exponential(0.5, 100), 0.5, paired=paired)
        for paired in (True, False)
    ]
    widths = [each.ci_high - each.ci_low for each in found]  # type: ignore[operator]
    assert widths[0] < widths[1] / 2


def test_too_few_items_for_a_tail_are_described_without_an_interval() -> None:
    values = np.random.default_rng(17).exponential(1, 71)
    found = quantile_difference(values, 2 * values, 0.95)
    assert (found.ci_low, found.ci_high) == (None, None)
    assert "72" in found.notes[0]


def test_timeouts_are_slower_than_any_answer_and_censor_a_limit() -> None:
    rng = np.random.default_rng(18)
    before, after = rng.exponential(1, 200), rng.exponential(1, 200)
    after[:9] = np.inf
    found = quantile_difference(before, after, 0.95)
    assert found.ci_low is not None
    assert found.ci_high is None
    assert "censored" in found.notes[0]
    with pytest.raises(StatsError, match="beyond the timeout"):
        quantile_difference(before, np.full(200, np.inf), 0.5)


def test_nonsense_is_refused_with_the_mend() -> None:
    with pytest.raises(StatsError, match="wilson"):
        bootstrap_ci([1, 1, 1])
    with pytest.raises(StatsError, match="wilson"):
        mean_ci([1, 1, 1])
    with pytest.raises(StatsError, match="percentile, basic or bca"):
        bootstrap_ci([1, 2, 3], method="other")  # type: ignore[arg-type]
    with pytest.raises(StatsError, match="NaN"):
        bootstrap_ci([1, 2, math.nan])
    with pytest.raises(StatsError, match="two clusters"):
        cluster_bootstrap_ci([1, 2, 3], [0, 0, 0])
    with pytest.raises(StatsError, match="needs its cluster"):
        cluster_bootstrap_ci([1, 2, 3], [0, 1])
    with pytest.raises(StatsError, match="same mean"):
        cluster_bootstrap_ci([1, 3, 2], [0, 0, 1])
    with pytest.raises(StatsError, match="0 and 1"):
        newcombe([0.5, 1], [1, 0])
    with pytest.raises(StatsError, match="no proportion"):
        clopper_pearson(3, 2)
