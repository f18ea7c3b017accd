"""Two samples and pairs: what swapping, shifting and scaling do, where p and interval agree, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from crucible_ray import stats
from crucible_ray.errors import StatsError
from crucible_ray.stats import TestResult
from tests.stats import data

Test = Callable[..., TestResult]
INDEPENDENT: list[Test] = [
    stats.student_t,
    stats.welch_t,
    stats.mann_whitney,
    stats.brunner_munzel,
    stats.permutation_test,
    stats.bootstrap_difference,
]
PAIRED: list[Test] = [stats.paired_t, stats.wilcoxon, stats.sign_test, stats.paired_permutation]
RNG = np.random.default_rng(8)
CONTROL, TREATMENT = RNG.normal(0, 1, 24), RNG.normal(0.6, 1.5, 24)


def _name(test: Test) -> str:
    return test.__name__


def test_the_guides_example_holds() -> None:
    for test in (stats.student_t, stats.welch_t):
        result = test(data.GUIDE_CONTROL, data.GUIDE_TREATMENT)
        assert (result.statistic, result.df) == pytest.approx((7.0, 8.0))
        assert result.p_value == pytest.approx(1.13e-4, abs=5e-7)
        assert result.effect_sizes["cohens_d"] == pytest.approx(4.43, abs=0.005)
        assert (result.ci_low, result.ci_high) == pytest.approx((0.047, 0.093), abs=5e-4)
    assert stats.mann_whitney(data.GUIDE_CONTROL, data.GUIDE_TREATMENT).p_value == pytest.approx(2 / 252)


@pytest.mark.parametrize("test", [*INDEPENDENT, *PAIRED], ids=_name)
def test_swapping_the_groups_turns_estimate_and_interval_around(test: Test) -> None:
    there, back = test(CONTROL, TREATMENT), test(TREATMENT, CONTROL)
    resampled = there.test in ("permutation_test", "bootstrap_bca", "paired_permutation")
    rel, absolute = (0.15, 0.04) if resampled else (1e-9, 1e-12)
    assert there.estimate == pytest.approx(-(back.estimate or 0.0))
    assert there.p_value == pytest.approx(back.p_value, rel=rel, abs=absolute)
    if there.ci_low is not None:
        assert back.ci_high is not None
        assert back.ci_low is not None
        turned = (-back.ci_high, -back.ci_low)
        assert (there.ci_low, there.ci_high) == pytest.approx(turned, rel=rel, abs=absolute)


@pytest.mark.parametrize("test", [*INDEPENDENT, *PAIRED], ids=_name)
def test_neither_a_shift_nor_a_scale_of_everything_changes_p(test: Test) -> None:
    plain, moved = test(CONTROL, TREATMENT), test(3 * CONTROL + 10, 3 * TREATMENT + 10)
    assert moved.p_value == pytest.approx(plain.p_value, rel=1e-6)
    if plain.measure != "P(T>C) - P(T<C)":
        assert moved.estimate == pytest.approx(3 * (plain.estimate or 0.0))


@pytest.mark.parametrize("test", [*INDEPENDENT, *PAIRED], ids=_name)
def test_one_sided_p_values_lie_on_the_side_they_name(test: Test) -> None:
    less, greater = (test(CONTROL, TREATMENT + 1, alternative=side).p_value for side in ("less", "greater"))
    assert less > 0.9 > 0.05 > greater  # type: ignore[operator]
    with pytest.raises(StatsError, match="no alternative"):
        test(CONTROL, TREATMENT, alternative="larger")


def _decides_alike(result: TestResult) -> bool:
    assert result.p_value is not None
    assert result.ci_low is not None
    assert result.ci_high is not None
    return (result.p_value < result.alpha) == (result.ci_low > 0 or result.ci_high < 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(6, 40), st.integers(6, 40), st.floats(0, 1.5))
def test_p_and_interval_decide_alike(seed: int, m: int, n: int, shift: float) -> None:
    rng = np.random.default_rng(seed)
    control, treatment = rng.normal(0, 1, m), rng.normal(shift, 1, n)
    for test in (stats.student_t, stats.welch_t, stats.mann_whitney):
        assert _decides_alike(test(control, treatment)), test
    assert _decides_alike(stats.mann_whitney(control, treatment, method="asymptotic"))
    for method in ("exact", "asymptotic"):
        assert _decides_alike(stats.wilcoxon(rng.normal(0, 1, n), treatment, method=method))
    control, treatment = (rng.random(m) < 0.4).astype(float), (rng.random(n) < 0.4 + shift / 4).astype(float)
    assert _decides_alike(stats.two_proportion_z(control, treatment))


def test_the_bootstraps_p_is_the_level_at_which_its_interval_ends_at_zero() -> None:
    for method in ("bca", "percentile"):
        p_value = stats.bootstrap_difference(CONTROL, TREATMENT - 0.2, method=method).p_value
        assert p_value is not None
        edge = stats.bootstrap_difference(CONTROL, TREATMENT - 0.2, method=method, alpha=p_value)
        assert min(abs(edge.ci_low or 0.0), abs(edge.ci_high or 0.0)) == pytest.approx(0, abs=2e-3)


def test_the_bootstrap_agrees_with_scipys_within_simulation_error() -> None:
    rng = np.random.default_rng(3)
    control, treatment = rng.exponential(1, 40), rng.exponential(2, 60)
    result = stats.bootstrap_difference(control, treatment, resamples=50_000)
    theirs = scipy_stats.bootstrap(
        (treatment, control),
        lambda a, b, axis: a.mean(axis=axis) - b.mean(axis=axis),
        vectorized=True,
        n_resamples=50_000,
        batch=1_000,
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert (result.ci_low, result.ci_high) == pytest.approx((theirs.low, theirs.high), abs=0.025)


@pytest.mark.parametrize("test", [*INDEPENDENT, stats.two_proportion_z], ids=_name)
def test_nonsense_is_refused_with_what_to_do(test: Test) -> None:
    for control in ([], [float("nan")] * 3, ["a", "b"], [1.0, float("inf"), 0.0]):
        with pytest.raises(StatsError, match="control"):
            test(control, [0.0, 1.0, 1.0])


@pytest.mark.parametrize("test", PAIRED, ids=_name)
def test_pairs_of_unequal_number_are_refused(test: Test) -> None:
    with pytest.raises(StatsError, match="as many values"):
        test([1.0, 2.0, 3.0], [1.0, 2.0])
    with pytest.raises(StatsError, match="complete pairs"):
        test([], [])


@pytest.mark.parametrize("test", [*INDEPENDENT, *PAIRED], ids=_name)
def test_constant_values_leave_a_test_undefined_or_without_a_finding(test: Test) -> None:
    result = test([1.0] * 6, [1.0] * 6)
    assert result.p_value in (None, 1.0)
    assert result.estimate == 0.0
    assert result.notes


def test_missing_values_are_left_out_and_said() -> None:
    nan = float("nan")
    assert "2 missing" in stats.welch_t([*CONTROL, nan, nan], TREATMENT).notes[0]
    paired = stats.paired_t([*CONTROL, nan], [*TREATMENT, 1.0])
    assert paired.n == 24
    assert "1 incomplete" in paired.notes[0]


def test_a_t_test_of_zeros_and_ones_names_the_test_made_for_them() -> None:
    control, treatment = data.outcomes(5, 10), data.outcomes(8, 10)
    assert "two_proportion_z" in stats.welch_t(control, treatment).notes[-1]
    assert "mcnemar" in stats.paired_t(control, treatment).notes[0]
    with pytest.raises(StatsError, match="welch_t"):
        stats.two_proportion_z([0.5, 1.0], [1.0, 0.0])


def test_brunner_munzel_without_overlap_is_undefined_and_says_so() -> None:
    result = stats.brunner_munzel(data.GUIDE_CONTROL, data.GUIDE_TREATMENT)
    assert result.p_value is None
    assert "do not overlap" in result.notes[0]


def test_the_sign_flip_of_repeats_is_exact_and_matches_enumeration() -> None:
    rng = np.random.default_rng(2)
    control, treatment = (rng.random((2, 14, 3)) < 0.5).astype(float)
    treatment[:6] = np.maximum(treatment[:6], 1)
    diff = treatment.sum(axis=1) - control.sum(axis=1)
    signs = 1 - 2 * ((np.arange(2**14)[:, None] >> np.arange(14)) & 1)
    expected = float((np.abs(signs @ diff) >= abs(diff.sum())).mean())
    assert stats.paired_permutation(control, treatment).p_value == pytest.approx(expected, rel=1e-12)


def test_the_sign_flip_of_one_repeat_is_the_exact_mcnemar_also_far_out() -> None:
    for gains, losses in ((9, 3), (60, 1), (200, 40)):
        control = np.repeat([0.0, 1.0, 1.0], [gains, losses, 20])
        treatment = np.repeat([1.0, 0.0, 1.0], [gains, losses, 20])
        exact = stats.mcnemar(control, treatment, variant="exact").p_value
        assert stats.paired_permutation(control, treatment).p_value == pytest.approx(exact, rel=1e-9)


def test_the_sign_flip_of_any_numbers_agrees_with_scipys() -> None:
    theirs = scipy_stats.permutation_test(
        (TREATMENT - CONTROL,),
        lambda x, axis: x.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        rng=np.random.default_rng(1),
    )
    ours = stats.paired_permutation(CONTROL, TREATMENT, resamples=20_000).p_value
    assert ours == pytest.approx(theirs.pvalue, abs=0.012)


def test_many_values_have_the_shift_and_interval_of_few() -> None:
    rng = np.random.default_rng(5)
    control, treatment = rng.normal(0, 1, 2_100), rng.normal(0.1, 1, 2_000)
    result = stats.mann_whitney(control, treatment)
    gaps = np.sort(np.subtract.outer(treatment, control).ravel())
    assert result.estimate == pytest.approx(float(np.median(gaps)), rel=1e-9)
    assert result.ci_low in (None, pytest.approx(gaps[np.searchsorted(gaps, result.ci_low - 1e-9)], rel=1e-9))  # type: ignore[operator]
    assert _decides_alike(result)
    paired = stats.wilcoxon(rng.normal(0, 1, 3_000), rng.normal(0.2, 1, 3_000))
    assert _decides_alike(paired)


@pytest.mark.parametrize("test", [*INDEPENDENT, *PAIRED], ids=_name)
def test_a_result_is_a_line_a_sentence_and_json(test: Test) -> None:
    result = test(CONTROL, TREATMENT + 1)
    assert str(result).startswith(f"{result.test}: ")
    assert result.interpretation.endswith(".")
    plain = json.loads(result.to_json())
    assert plain["p_value"] == result.p_value
    assert plain["interpretation"] == result.interpretation


def test_differences_that_are_alike_but_for_rounding_tie() -> None:
    control, treatment = [0.89, 0.90, 0.3, 0.5, 0.2], [0.96, 0.97, 0.1 + 0.2, 0.4, 0.5]
    assert "1 differences of zero dropped" in stats.wilcoxon(control, treatment).notes
    assert stats.wilcoxon(control, treatment).statistic == 1.5 + 1.5 + 4
    assert "3 higher, 1 lower, 1 alike" in stats.sign_test(control, treatment).notes
