"""McNemar, Tango, t on item differences and the adjusted Wald test against published answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats as scipy_stats
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar

from crucible_ray.errors import StatsError
from crucible_ray.stats import bonett_price, clustered_difference, mcnemar, tango
from crucible_ray.stats.paired import adjusted_difference, adjusted_t, mcnemar_counts, tango_limits
from crucible_ray.stats.result import Floats


def _pairs(gains: int, losses: int, n: int) -> tuple[Floats, Floats]:
    control = np.repeat([0.0, 1.0, 1.0], [gains, losses, n - gains - losses])
    treatment = np.repeat([1.0, 0.0, 1.0], [gains, losses, n - gains - losses])
    return control, treatment


def test_tango_matches_his_1998_example_of_sleep_difficulties() -> None:
    assert tango(*_pairs(9, 3, 32)) == pytest.approx(
        (-0.0271, 0.3897), abs=5e-5
    )  # Tango 1998, Karacan's data


def test_tango_matches_the_airway_example_of_fagerland_lydersen_and_laake() -> None:
    interval = tango(*_pairs(1, 7, 21))  # Fagerland et al. 2014, Bentur's data: -0.517 to -0.026
    assert interval == pytest.approx((-0.517, -0.026), abs=5e-4)


def test_tango_without_a_discordant_pair_has_the_closed_form() -> None:
    z2 = scipy_stats.norm.ppf(0.975) ** 2
    low, high = tango_limits(0, 0, 30)
    assert (float(low), float(high)) == pytest.approx((-z2 / (30 + z2), z2 / (30 + z2)), rel=1e-12)


def test_tango_turns_around_when_the_conditions_are_swapped() -> None:
    gains, losses = (a.ravel() for a in np.meshgrid(np.arange(0, 21), np.arange(0, 20)))
    low, high = tango_limits(gains, losses, 40)
    swapped_low, swapped_high = tango_limits(losses, gains, 40)
    assert low == pytest.approx(-swapped_high, abs=1e-12)
    assert high == pytest.approx(-swapped_low, abs=1e-12)


def test_tango_solves_its_score_equation_to_the_twelfth_digit() -> None:
    def chi2(gains: int, losses: int, n: int, delta: float) -> float:
        a, b = 2 * n, -gains - losses + (2 * n - gains + losses) * delta
        q = (np.sqrt(b * b - 4 * a * -losses * delta * (1 - delta)) - b) / (2 * a)
        return float((gains - losses - n * delta) ** 2 / (n * (2 * q + delta * (1 - delta))))

    for counts in ((9, 3, 32), (40, 20, 160), (3, 11, 500)):
        low, high = (float(limit) for limit in tango_limits(*counts))
        expected = scipy_stats.chi2.ppf(0.95, 1)
        assert chi2(*counts, low) == pytest.approx(expected, rel=1e-10)
        assert chi2(*counts, high) == pytest.approx(expected, rel=1e-10)


def test_score_test_rejects_exactly_where_tangos_interval_leaves_out_zero() -> None:
    for gains in range(26):
        for losses in range(26):
            result = mcnemar_counts(gains, losses, 60)
            assert result.p_value is not None
            assert result.ci_low is not None
            assert result.ci_high is not None
            assert (result.p_value < 0.05) == (result.ci_low > 0 or result.ci_high < 0), (gains, losses)


@pytest.mark.parametrize(("gains", "losses"), [(9, 3), (12, 30), (1, 7), (40, 41)])
def test_mcnemar_matches_statsmodels(gains: int, losses: int) -> None:
    table = [[20, losses], [gains, 10]]
    pairs = _pairs(gains, losses, 100)
    score = mcnemar(*pairs).p_value
    assert score == pytest.approx(reference_mcnemar(table, exact=False, correction=False).pvalue, rel=1e-9)
    corrected = mcnemar(*pairs, variant="corrected").p_value
    assert corrected == pytest.approx(reference_mcnemar(table, exact=False, correction=True).pvalue, rel=1e-9)
    assert mcnemar(*pairs, variant="exact").p_value == pytest.approx(
        reference_mcnemar(table).pvalue, rel=1e-9
    )


def test_mid_p_is_the_exact_p_less_the_probability_of_what_was_seen() -> None:
    exact, mid = (mcnemar(*_pairs(9, 3, 32), variant=v).p_value for v in ("exact", "mid_p"))
    assert exact is not None
    assert mid == pytest.approx(exact - scipy_stats.binom.pmf(3, 12, 0.5), rel=1e-12)


def test_mcnemar_refuses_values_other_than_0_and_1() -> None:
    with pytest.raises(StatsError, match="0 and 1"):
        mcnemar([0.0, 0.5], [1.0, 1.0])


def test_bonett_price_is_the_adjusted_wald_interval_of_the_paper() -> None:
    p12, p21, n = 10 / 34, 4 / 34, 34  # (9 + 1) / (32 + 2), (3 + 1) / (32 + 2)
    half = scipy_stats.norm.ppf(0.975) * np.sqrt((p12 + p21 - (p12 - p21) ** 2) / n)
    assert bonett_price(*_pairs(9, 3, 32)) == pytest.approx((p12 - p21 - half, p12 - p21 + half), rel=1e-12)


def test_adjusted_t_is_t_with_two_pseudo_items_of_a_typical_size() -> None:
    diff = np.array([0.1] * 15 + [-0.2] * 8 + [0.9] * 4 + [0.0] * 13)
    size = np.sqrt((diff**4).sum() / (diff**2).sum() / 2)
    padded = np.append(diff, [size, -size])
    centre, se = padded.mean(), padded.std() / np.sqrt(len(padded))
    found = adjusted_t(diff)
    assert found.estimate == pytest.approx(diff.mean())
    assert (found.ci_low, found.ci_high) == pytest.approx(scipy_stats.t.interval(0.95, 39, centre, se))
    assert found.p_value == pytest.approx(2 * scipy_stats.t.sf(centre / se, 39))


def test_adjusted_wald_p_is_the_dual_of_its_interval() -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        diff = rng.integers(-3, 5, size=15) / 7 * (rng.random(15) < 0.5) + np.eye(15)[0] / 11
        p_value = adjusted_difference(diff).p_value
        assert p_value is not None
        edge = adjusted_difference(diff, alpha=p_value)
        assert min(abs(edge.ci_low or 0.0), abs(edge.ci_high or 0.0)) == pytest.approx(0, abs=1e-12)


def test_clustered_difference_of_item_means_is_scipys_paired_t() -> None:
    rng = np.random.default_rng(7)
    control, treatment = rng.normal(size=(40, 3)), rng.normal(0.3, 1, size=(40, 3))
    result = clustered_difference(treatment - control)
    reference = scipy_stats.ttest_rel(treatment.mean(axis=1), control.mean(axis=1))
    assert result.statistic == pytest.approx(reference.statistic, rel=1e-9)
    assert result.p_value == pytest.approx(reference.pvalue, rel=1e-9)
    interval = reference.confidence_interval(0.95)
    assert (result.ci_low, result.ci_high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_clustered_difference_takes_the_mean_over_the_repeats_that_are_there() -> None:
    nan = float("nan")
    result = clustered_difference([[1.0, nan], [0.0, 1.0], [nan, nan], [-0.5, -0.5]])
    assert result.n == 3
    assert result.estimate == pytest.approx((1.0 + 0.5 - 0.5) / 3)


def test_clustered_difference_without_spread_says_so_and_gives_no_p() -> None:
    result = clustered_difference([0.1, 0.1, 0.1])
    assert result.p_value is None
    assert "no spread" in result.notes[0]
    assert "undefined" in result.interpretation


def test_clustered_difference_of_one_item_is_refused() -> None:
    with pytest.raises(StatsError, match="two items"):
        clustered_difference([[1.0, 0.0]])


def test_apa_writes_the_result_as_the_manual_does() -> None:
    assert (
        mcnemar(*_pairs(9, 3, 32)).apa() == "z = 1.73, p = .083, difference = 0.188, 95% CI [-0.027, 0.390]"
    )
    assert clustered_difference([0.5, 0.1, 0.4]).apa().startswith("t(2) = 2.77, p = .109")


def test_interpretation_is_one_sentence_with_the_interval() -> None:
    assert mcnemar(*_pairs(30, 9, 100)).interpretation.startswith(
        "Treatment is higher by 0.21 (95 % interval"
    )
    assert mcnemar(*_pairs(3, 3, 100)).interpretation.startswith("The data do not tell the two apart")
