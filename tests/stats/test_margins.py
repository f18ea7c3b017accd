"""Equivalence, non-inferiority and superiority: their p-values and intervals never disagree."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom
from statsmodels.stats.weightstats import ttost_ind, ttost_paired

from crucible_ray.errors import StatsError
from crucible_ray.stats import MarginResult, compare, mcnemar, non_inferiority, superiority, tango, tost
from crucible_ray.stats.margins import score_of_difference


def draws(kind: str, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if kind == "binary":
        before = (rng.random(60) < 0.7).astype(float)
        after = np.where(rng.random(60) < 0.2, (rng.random(60) < 0.8).astype(float), before)
        return before, after
    return rng.normal(0, 1, 25), rng.normal(0.3, 1.5, 25)


@pytest.mark.parametrize("kind", ["binary", "numbers"])
@pytest.mark.parametrize("paired", [True, False])
def test_p_and_interval_never_disagree(kind: str, paired: bool) -> None:
    rng = np.random.default_rng(21)
    seen = set()
    for _ in range(60):
        before, after = draws(kind, rng)
        size = rng.uniform(0.02, 0.3) if kind == "binary" else rng.uniform(0.1, 1.5)
        for found, level in (
            (tost(before, after, size, paired=paired), 0.05),
            (non_inferiority(before, after, size, paired=paired), 0.025),
            (superiority(before, after, size, paired=paired), 0.025),
        ):
            assert found.p_value is not None
            assert (found.p_value < level) == (found.verdict == "supported")
            seen.add(found.verdict)
    assert {"supported", "not_decided"} <= seen


def test_equivalence_matches_statsmodels() -> None:
    rng = np.random.default_rng(22)
    before, after = rng.normal(0, 1, 30), rng.normal(0.2, 2, 30)
    p_value, _, _ = ttost_ind(after, before, -0.9, 1.1, usevar="unequal")
    assert tost(before, after, (-0.9, 1.1)).p_value == pytest.approx(p_value, rel=1e-9)
    p_value, _, _ = ttost_paired(after, before, -0.9, 1.1)
    assert tost(before, after, (-0.9, 1.1), paired=True).p_value == pytest.approx(p_value, rel=1e-9)


@pytest.mark.parametrize(
    ("gained", "n", "lost", "m", "delta"),
    [
        (56, 70, 48, 80, 0.1),
        (9, 10, 3, 10, 0.2),
        (5, 56, 0, 29, -0.1),
        (10, 10, 0, 20, 0.7),
        (3, 9, 8, 11, -0.9),
    ],
)
def test_the_score_of_a_difference_uses_the_likeliest_shares_under_it(
    gained: int, n: int, lost: int, m: int, delta: float
) -> None:
    def less_likely(other: float) -> float:
        return -float(binom.logpmf(gained, n, other + delta) + binom.logpmf(lost, m, other))

    found = minimize_scalar(
        less_likely, bounds=(max(0, -delta), min(1, 1 - delta)), method="bounded", options={"xatol": 1e-13}
    )
    share, other = found.x + delta, found.x
    variance = (share * (1 - share) / n + other * (1 - other) / m) * (n + m) / (n + m - 1)
    reference = (gained / n - lost / m - delta) / np.sqrt(variance)
    assert score_of_difference(gained, n, lost, m, delta=delta) == pytest.approx(reference, rel=1e-5)


def test_paired_shares_go_by_tangos_interval_and_without_margin_by_mcnemars_test() -> None:
    before = np.array([1] * 40 + [0] * 20)
    after = np.array([1] * 37 + [0] * 3 + [1] * 11 + [0] * 9)
    found = superiority(before, after, paired=True)
    assert (found.ci_low, found.ci_high) == pytest.approx(tango(before, after))
    reference = mcnemar(before, after)
    assert found.p_value == pytest.approx(reference.p_value / 2)  # type: ignore[operator]
    assert found.verdict == "supported"


def test_swapping_the_groups_mirrors_the_interval_and_keeps_equivalence() -> None:
    before, after = draws("numbers", np.random.default_rng(23))
    one, other = tost(before, after, 1.2), tost(after, before, 1.2)
    assert one.p_value == pytest.approx(other.p_value)
    assert (one.ci_low, one.ci_high) == pytest.approx((-other.ci_high, -other.ci_low))  # type: ignore[operator]


def test_the_result_says_what_was_claimed_and_what_came_of_it() -> None:
    found = non_inferiority([5, 6, 7, 8, 6], [6, 6, 8, 8, 7], 2)
    assert isinstance(found, MarginResult)
    assert found.interpretation.startswith('"the difference is above -2" is supported: difference +0.6')
    assert "95 % interval" in found.interpretation
    assert "90 % interval" in tost([5, 6, 7, 8, 6], [6, 6, 8, 8, 7], 2).interpretation
    assert json.dumps(found.verdict) == '"supported"'


def test_margins_on_the_wrong_side_and_data_without_spread_are_refused() -> None:
    with pytest.raises(StatsError, match="above 0"):
        non_inferiority([1, 2], [2, 3], 0)
    with pytest.raises(StatsError, match="non_inferiority"):
        superiority([1, 2], [2, 3], -1)
    with pytest.raises(StatsError, match="range"):
        tost([1, 2], [2, 3], 0)
    with pytest.raises(StatsError, match="spread"):
        tost([1, 2], [2, 3], 1, paired=True)
    with pytest.raises(StatsError, match="spread"):
        tost([2, 2], [3, 3], 1)


@pytest.mark.parametrize(
    "margin", [float("nan"), float("inf"), float("-inf"), "5", None, True, (0.0, float("nan"))]
)
@pytest.mark.parametrize("values", [[0, 1, 1, 0, 1, 1], [0.3, 0.1, 0.2, 0.5, 0.9, 0.7]])
@pytest.mark.parametrize("paired", [True, False])
def test_a_margin_that_is_no_number_is_refused(margin: Any, values: list[float], paired: bool) -> None:
    other = [1, 1, 1, 0, 1, 0]
    for run in (tost, non_inferiority, superiority):
        with pytest.raises(StatsError, match="margin"):
            run(values, other, margin, paired=paired)
    with pytest.raises(StatsError, match="margin"):
        compare(values, other, margin=margin, paired=paired)


@pytest.mark.parametrize("margin", [1, 1.5, 5, -1, -5])
@pytest.mark.parametrize("paired", [True, False])
def test_a_margin_in_points_is_refused_for_outcomes_of_0_and_1(margin: float, paired: bool) -> None:
    before, after = [0, 1, 1, 0, 1, 1], [1, 1, 1, 0, 1, 0]
    with pytest.raises(StatsError, match=r"5 points are written 0\.05"):
        compare(before, after, margin=margin, paired=paired)
    for run in (tost, non_inferiority) if margin > 0 else (superiority,):
        with pytest.raises(StatsError):
            run(before, after, margin, paired=paired)
    assert compare(before, after, margin=margin, kind="continuous", paired=paired).p_value is not None
