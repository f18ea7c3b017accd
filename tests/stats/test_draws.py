"""Quantiles and ratios of shared items, read off draws: interval, p and verdict are one thing."""

from __future__ import annotations

import numpy as np
import pytest

from crucible_ray import stats
from crucible_ray.errors import StatsError
from crucible_ray.stats import comparing_ratios
from crucible_ray.stats.bootstrap import resampled_sums
from crucible_ray.stats.comparing_quantiles import _by_ranks, _resampled, compare_quantiles
from crucible_ray.stats.comparing_ratios import compare_ratios, ratio_of
from crucible_ray.stats.draws import Draws
from crucible_ray.stats.result import Floats


def _latencies(items: int, repeats: int = 1, seed: int = 0) -> tuple[Floats, Floats]:
    """Two conditions that share how slow an item is."""
    rng = np.random.default_rng(seed)
    slow = rng.lognormal(0, 0.5, (items, 1))
    return slow * rng.lognormal(0, 0.3, (items, repeats)), slow * rng.lognormal(0.2, 0.3, (items, repeats))


def test_an_interval_leaves_a_value_out_exactly_where_p_is_below_alpha() -> None:
    rng = np.random.default_rng(1)
    for draws in (
        Draws.of_bootstrap(rng.normal(0.5, 1, 999)),
        Draws(np.sort(rng.normal(0, 1, 999)), np.sort(rng.normal(2, 1, 999)), 1.0),
    ):
        for alpha in (0.5, 0.2, 0.05, 0.01, 0.001):
            low, high = draws.interval(alpha)
            for value in np.linspace(-3, 4, 60):
                assert (draws.p_against(value) < alpha) == (not low <= value <= high)


def test_one_value_an_item_has_the_interval_of_the_plain_bootstrap_of_pairs() -> None:
    control, treatment = _latencies(400)
    for q in (0.5, 0.95):
        ours = compare_quantiles(control, treatment, q, seed=1)
        theirs = stats.quantile_difference(control[:, 0], treatment[:, 0], q, paired=True, seed=2)
        assert ours.estimate == pytest.approx(theirs.value, rel=1e-12)
        width = (theirs.ci_high or 0) - (theirs.ci_low or 0)
        assert (ours.ci_low, ours.ci_high) == pytest.approx((theirs.ci_low, theirs.ci_high), abs=0.08 * width)


def test_repeats_are_drawn_with_their_item_and_a_drawn_quantile_is_that_of_the_drawn_values() -> None:
    control, treatment = _latencies(90, 3)
    control[4, 1] = np.nan
    drawn = _resampled((control, treatment), np.arange(90), 0.9, 3, 7)
    rng = np.random.default_rng(7)
    for row in rng.integers(0, 90, (3, 90)):
        both = [np.nanquantile(table[row].ravel(), 0.9) for table in (control, treatment)]
        assert np.isclose(drawn, both[1] - both[0]).any()
    single = compare_quantiles(control, treatment, 0.9)
    copied = compare_quantiles(np.repeat(control, 2, axis=1), np.repeat(treatment, 2, axis=1), 0.9)
    assert single.ci_low is not None
    assert single.ci_high is not None
    width = single.ci_high - single.ci_low
    assert (copied.ci_low, copied.ci_high) == pytest.approx((single.ci_low, single.ci_high), abs=0.1 * width)


def test_drawing_ranks_is_drawing_items_where_there_are_many_values() -> None:
    tables = _latencies(600, 3, seed=3)
    for q in (0.5, 0.95, 0.99):
        slow, quick = (
            np.quantile(draw(tables, np.arange(600), q, 4_000, 0), (0.025, 0.975))
            for draw in (_resampled, _by_ranks)
        )
        assert quick == pytest.approx(slow, abs=0.12 * (slow[1] - slow[0]))


def test_too_few_items_for_a_quantile_only_describe() -> None:
    for q, needed in ((0.95, 72), (0.99, 368)):
        short = compare_quantiles(*_latencies(needed - 1), q)
        assert (short.ci_low, short.p_value, short.decidable) == (None, None, False)
        assert short.notes == (
            f"descriptive: {needed - 1} items, and an interval for quantile {q:g} needs {needed}",
        )
        assert compare_quantiles(*_latencies(needed), q).p_value is not None


def test_clusters_are_the_units_that_a_quantile_needs_enough_of() -> None:
    control, treatment = _latencies(400)
    found = compare_quantiles(control, treatment, 0.95, clusters=np.repeat(np.arange(50), 8))
    assert (found.n, found.p_value) == (50, None)
    shared = np.random.default_rng(5).lognormal(0, 1, (100, 1)).repeat(4, axis=0)
    own = np.random.default_rng(6).lognormal(0, 0.05, (400, 1))
    by_item, by_cluster = (
        compare_quantiles(np.ones((400, 1)) + 0 * own, shared * own, 0.5, clusters=each)
        for each in (None, np.repeat(np.arange(100), 4))
    )
    widths = [(each.ci_high or 0) - (each.ci_low or 0) for each in (by_item, by_cluster)]
    assert widths[1] > 1.5 * widths[0]


def test_timeouts_are_slower_than_any_answer() -> None:
    control, treatment = _latencies(200)
    treatment[:6] = np.inf
    found = compare_quantiles(control, treatment, 0.95)
    assert found.estimate is not None
    assert np.isfinite(found.estimate)
    assert found.ci_high is None
    assert found.ci_low is not None
    assert "the upper limit is beyond the timeout: not known" in found.notes
    with pytest.raises(StatsError, match="beyond the timeout"):
        compare_quantiles(control, treatment, 0.99)


def test_a_quantiles_margin_is_what_p_is_against() -> None:
    tables = _latencies(300)
    found = compare_quantiles(*tables, 0.5, margin=0.1)
    edge = compare_quantiles(*tables, 0.5, alpha=(found.p_value or 0) * 1.0001)
    assert min(abs((edge.ci_low or 0) - 0.1), abs((edge.ci_high or 0) - 0.1)) < 0.01


def test_cost_per_right_answer_is_a_ratio_of_totals_with_fiellers_interval() -> None:
    rng = np.random.default_rng(8)
    cost, right = rng.gamma(4, 0.001, (150, 2)), np.where(rng.random((150, 2)) < 0.7, 1.0, 0.0)
    cost[0, 0] = np.nan
    found = ratio_of(cost, right)
    kept = ~np.isnan(cost)
    assert found.value == pytest.approx(cost[kept].sum() / right[kept].sum())
    sums = [np.where(kept, table, 0).sum(axis=1) for table in (cost, right)]
    assert (found.ci_low, found.ci_high) == (stats.ratio_ci(*sums).ci_low, stats.ratio_ci(*sums).ci_high)


def test_two_ratios_are_compared_by_drawing_items_for_both() -> None:
    rng = np.random.default_rng(9)
    right = np.where(rng.random((200, 1)) < 0.7, 1.0, 0.0)
    cost = rng.gamma(4, 0.001, (200, 1))
    found = compare_ratios((cost, right), (1.5 * cost, right))
    assert found.estimate == pytest.approx(0.5 * cost.sum() / right.sum())
    # Half the ratio of one condition: so its own bootstrap is the same draw.
    drawn = np.random.default_rng(1).integers(0, 200, (10_000, 200))
    halves = 0.5 * cost[drawn, 0].sum(axis=1) / right[drawn, 0].sum(axis=1)
    assert (found.ci_low, found.ci_high) == pytest.approx(
        tuple(np.quantile(halves, (0.025, 0.975))), rel=0.01
    )
    assert (found.p_value or 1) < 0.001


def test_a_ratio_with_next_to_nothing_below_the_line_is_not_estimable() -> None:
    right = np.zeros((60, 1))
    right[:2] = 1.0
    found = compare_ratios((np.ones((60, 1)), right), (np.full((60, 1), 2.0), np.ones((60, 1))))
    assert (found.ci_low, found.ci_high, found.p_value) == (None, None, None)
    assert found.notes == ("not estimable: the interval of what is below the line holds 0",)
    with pytest.raises(StatsError, match="there is no ratio"):
        compare_ratios((np.ones((60, 1)), np.zeros((60, 1))), (np.ones((60, 1)), right))


def test_what_a_design_could_have_found_is_that_of_the_planning_functions() -> None:
    from crucible_ray.stats.precision import achieved_power, detectable_difference, standard_error

    diff = np.random.default_rng(10).normal(0.3, 1.0, 40)
    found = stats.paired_t(np.zeros(40), diff)
    assert found.ci_low is not None
    assert found.ci_high is not None
    error = standard_error(found.ci_low, found.ci_high, df=39)
    assert error == pytest.approx(diff.std(ddof=1) / np.sqrt(40), rel=1e-12)
    planned = stats.detectable_effect("paired_continuous", n=40, sd=float(diff.std(ddof=1)))
    assert detectable_difference(error, df=39) == pytest.approx(planned, rel=1e-9)
    # Hoenig and Heisey (2001): p = alpha has a power of one half, whatever the data.
    assert achieved_power(0.05) == pytest.approx(0.5, abs=1e-4)
    assert achieved_power(0.01) == pytest.approx(0.73101, abs=1e-5)  # R: pnorm(qnorm(.995) - qnorm(.975))
    assert achieved_power(1.0) == pytest.approx(0.05)


def test_sums_of_many_items_are_drawn_from_the_limit_of_resampling() -> None:
    rng = np.random.default_rng(8)
    rows = np.column_stack([rng.exponential(1, 20_000), rng.random(20_000) < 0.7]).astype(float)
    totals = np.column_stack([rows, rows[:, 0] * rng.uniform(0.5, 1.5, 20_000), rng.random(20_000) < 0.8])
    assert comparing_ratios._near_normal(totals)
    drawn, normal = (draw(totals, 1, 4_000) for draw in (resampled_sums, comparing_ratios._normal_sums))
    assert normal.mean(axis=0) == pytest.approx(drawn.mean(axis=0), rel=5e-4)
    # Standard deviations and correlations of 4,000 draws vary by 1.1 and 1.6 %.
    assert normal.std(axis=0) == pytest.approx(drawn.std(axis=0), rel=0.06)
    assert np.corrcoef(normal.T) == pytest.approx(np.corrcoef(drawn.T), abs=0.06)
    rare = totals.copy()
    rare[:, 1] = np.arange(20_000) < 30
    assert not comparing_ratios._near_normal(rare)


def test_clusters_that_are_all_alike_have_sums_that_do_not_vary() -> None:
    cost, right = np.full((3, 3), 0.1), np.ones((3, 3))
    found = compare_ratios((cost, right), (cost, right))
    assert (found.estimate, found.p_value) == (0.0, 1.0)
    assert resampled_sums(np.full((3, 2), 0.3), 0, 100).tolist() == [[pytest.approx(0.9)] * 2] * 100


def test_p_of_two_ratios_is_never_below_the_level_at_which_they_can_be_estimated() -> None:
    right = np.array([[1.0]] * 6 + [[0.0]] * 3)
    cost = np.linspace(1, 2, 9)[:, None]
    for alpha in (0.05, 0.0125, 1e-3):
        found = compare_ratios((cost, right), (100 * cost, right), alpha=alpha)
        assert (found.ci_low is None) == (not found.decidable)
        assert found.ci_low is None or (found.p_value or 0) >= found.least_level
    assert compare_ratios((cost, right), (100 * cost, right)).p_value == pytest.approx(
        stats.paired_t(np.zeros(9), right[:, 0]).p_value
    )
