"""The default rule: which test decides, when nothing can be decided, how often it is wrong."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.special import gammaln

from crucible_ray.errors import StatsError
from crucible_ray.stats.decision import (
    FEW_CARRY,
    MANY_CARRY,
    UNEVEN,
    effective_items,
    fewest_decidable,
    paired_difference,
)
from crucible_ray.stats.paired import tango_limits
from crucible_ray.stats.result import Floats
from crucible_ray.stats.verdicts import verdict

RECORDED = Path(__file__).resolve().parents[3] / "shared" / "data" / "recorded" / "mmlu_helm10.jsonl"
STEM = [
    "abstract_algebra",
    "anatomy",
    "astronomy",
    "college_biology",
    "college_chemistry",
    "college_computer_science",
    "college_mathematics",
    "college_physics",
    "computer_security",
    "conceptual_physics",
    "electrical_engineering",
    "elementary_mathematics",
    "high_school_biology",
    "high_school_chemistry",
    "high_school_computer_science",
    "high_school_mathematics",
    "high_school_physics",
    "high_school_statistics",
    "machine_learning",
]
VOTERS = (
    "google_gemini-1.5-flash-preview-0514",
    "openai_gpt-4o-2024-05-13",
    "anthropic_claude-3-opus-20240229",
)


def _binary(gains: int, losses: int, n: int) -> tuple[Floats, Floats]:
    control = np.repeat([0.0, 1.0, 1.0], [gains, losses, n - gains - losses])[:, None]
    treatment = np.repeat([1.0, 0.0, 1.0], [gains, losses, n - gains - losses])[:, None]
    return control, treatment


def _repeated(rng: np.random.Generator, items: int, p: float, repeats: int = 3) -> tuple[Floats, Floats]:
    """Both conditions equally good, answers drawn anew at every repeat."""
    level = rng.beta(8 * p, 8 * (1 - p), size=(items, 1))
    control, treatment = (rng.random((items, repeats)) < level for _ in range(2))
    return control.astype(np.float64), treatment.astype(np.float64)


def test_recorded_mmlu_answers_support_better_and_refute_five_points_better() -> None:
    if not RECORDED.exists():
        pytest.skip(f"the recorded answers are not at {RECORDED}")
    single, ensemble = [], []
    for line in RECORDED.read_text().splitlines():
        item = json.loads(line)
        if item["subject"] in STEM and all(voter in item["preds"] for voter in VOTERS):
            votes = [item["preds"][voter] for voter in VOTERS]
            counts = Counter(votes)
            winner = max(votes, key=lambda vote: counts[vote])  # the first of the most frequent
            single.append([float(votes[1] == item["answer"])])
            ensemble.append([float(winner == item["answer"])])
    decision = paired_difference(single, ensemble)
    result = decision.result
    assert len(single) == 3141
    assert (np.mean(single), np.mean(ensemble)) == pytest.approx((0.7803, 0.7982), abs=5e-5)
    assert (result.estimate, result.ci_low, result.ci_high) == pytest.approx(
        (0.018, 0.0065, 0.0293), abs=5e-4
    )
    assert result.p_value == pytest.approx(0.0021, abs=5e-5)
    assert result.ci_low is not None
    assert result.ci_high is not None
    assert verdict(result.ci_low, result.ci_high, "superiority") == "supported"
    assert verdict(result.ci_low, result.ci_high, "superiority", 0.05) == "refuted"


def test_one_repeat_of_a_binary_outcome_is_decided_by_the_score_test() -> None:
    decision = paired_difference(*_binary(30, 12, 100))
    assert decision.result.test == "mcnemar_score"
    assert "McNemar" in decision.reason
    assert decision.result.estimate == pytest.approx(0.18)


def test_five_discordant_items_decide_nothing_and_six_do() -> None:
    assert fewest_decidable(0.05) == 6
    five, six = paired_difference(*_binary(5, 0, 100)), paired_difference(*_binary(6, 0, 100))
    assert not five.decidable
    assert "too few differing items to decide" in five.result.notes
    assert five.result.ci_low is not None
    assert six.decidable
    assert "few differing items" in six.result.notes
    assert "few differing items" not in paired_difference(*_binary(8, 4, 100)).result.notes


def test_repeats_that_never_differ_carry_the_information_of_one() -> None:
    control, treatment = _binary(30, 12, 100)
    one = paired_difference(control, treatment)
    three = paired_difference(np.repeat(control, 3, axis=1), np.repeat(treatment, 3, axis=1))
    assert three.result.p_value == one.result.p_value
    assert any("3 repeats carry the information of 1" in note for note in three.result.notes)


def test_repeats_with_twenty_differing_items_go_to_adjusted_t_on_item_differences() -> None:
    decision = paired_difference(*_repeated(np.random.default_rng(1), 100, 0.6))
    assert decision.differing >= 20
    assert decision.result.test == "adjusted_t"
    assert decision.result.df == 99


def test_repeats_with_fewer_differing_items_go_to_the_adjusted_wald_test_and_say_so() -> None:
    control, treatment = _repeated(np.random.default_rng(1), 100, 0.6)
    treatment[12:] = control[12:]
    decision = paired_difference(control, treatment)
    assert 6 <= decision.differing < 20
    assert decision.result.test == "adjusted_wald"
    assert "few differing items" in decision.result.notes


def test_many_items_that_all_differ_alike_are_still_decided() -> None:
    control, treatment = np.zeros((50, 2)), np.tile([0.0, 1.0], (50, 1))
    decision = paired_difference(control, treatment)
    assert decision.result.test == "adjusted_t"
    assert (decision.result.p_value or 1.0) < 1e-6


def test_many_differing_items_of_which_few_carry_the_differences_are_judged_with_caution() -> None:
    control, treatment = np.ones((200, 10)), np.ones((200, 10))
    treatment[6:36, 0] = 0.0  # thirty lose a tenth
    control[:6] = 0.0  # and six gain all
    decision = paired_difference(control, treatment)
    assert decision.differing == 36
    assert effective_items(treatment.mean(axis=1) - control.mean(axis=1)) < 7
    assert decision.result.test == "adjusted_t"
    assert decision.result.p_value == pytest.approx(0.296, abs=0.003)
    assert UNEVEN in decision.result.notes
    assert "as many as 6." in decision.reason


@pytest.mark.parametrize("alpha", [0.05, 1e-6])
@pytest.mark.parametrize("items", [24, 60])
def test_no_interval_leaps_where_ever_more_items_carry_the_differences(items: int, alpha: float) -> None:
    control, treatment = np.full((items, 200), 0.5), np.full((items, 200), 0.5)
    treatment[:8] = 0.7
    found = []
    for small in np.linspace(0.01, 0.09, 321):
        treatment[8 : items // 2 + 4], treatment[items // 2 + 4 :] = 0.5 + small, 0.5 - small
        decision = paired_difference(control, treatment, alpha=alpha)
        result = decision.result
        assert result.ci_low is not None
        assert result.ci_high is not None
        carried = effective_items(treatment.mean(axis=1) - control.mean(axis=1))
        found.append((carried, result.ci_high - result.ci_low, UNEVEN in result.notes))
        assert (f"as many as {MANY_CARRY}.0" not in decision.reason) or carried >= MANY_CARRY
    assert found[0][0] < FEW_CARRY
    assert found[-1][0] > MANY_CARRY
    assert found[0][1] > 1.5 * found[-1][1], "all the caution there is costs width"
    assert all(abs(later / earlier - 1) < 0.05 for (_, earlier, _), (_, later, _) in pairwise(found))
    assert all(noted == (carried < MANY_CARRY) for carried, _, noted in found)


def test_p_interval_and_verdict_agree_where_alpha_is_what_a_sign_test_can_reach() -> None:
    decision = paired_difference(*_binary(6, 0, 100), alpha=2**-5)
    assert (decision.result.p_value, decision.decidable) == (2**-5, False)
    assert decision.result.ci_low is not None
    assert decision.result.ci_low <= 0.0
    assert paired_difference(*_binary(7, 0, 100), alpha=2**-5).decidable


@pytest.mark.parametrize("size", [1e-74, 1e-90, 1e-160, 5e-324])
def test_differences_of_next_to_nothing_end_no_analysis(size: float) -> None:
    treatment = size * np.random.default_rng(1).uniform(0.5, 1.0, (30, 1))
    strata = np.arange(30) % 2
    assert paired_difference(np.zeros((30, 1)), treatment, bounded=False, strata=strata).items == 30
    decision = paired_difference(np.zeros((30, 1)), treatment, strata=strata)
    assert (decision.differing, decision.decidable) == ((30, True) if size == 1e-74 else (0, False))


def test_without_a_verdict_neither_p_nor_interval_says_one() -> None:
    result = paired_difference(*_binary(5, 0, 100)).result
    assert result.p_value == 2**-4
    assert result.ci_low == 0.0
    assert result.ci_high is not None
    assert result.ci_high > 0.1
    assert paired_difference(*_binary(6, 0, 100)).result.p_value == 2**-5
    assert paired_difference(*_binary(9, 2, 100)).result.p_value == pytest.approx(0.0348, abs=5e-5)


def test_a_continuous_outcome_goes_to_t_on_item_differences() -> None:
    rng = np.random.default_rng(2)
    decision = paired_difference(rng.normal(5, 1, (15, 2)), rng.normal(6, 1, (15, 2)), bounded=False)
    assert decision.result.test == "clustered_t"
    assert decision.decidable


def test_a_continuous_outcome_is_declared_so_that_small_costs_are_not_taken_for_shares() -> None:
    rng = np.random.default_rng(2)
    control = rng.random((15, 2)) / 1000
    assert (paired_difference(control, 2 * control, bounded=False).result.p_value or 1.0) < 0.001
    with pytest.raises(StatsError, match="bounded=False"):
        paired_difference(control, control + 5)


def test_items_without_a_value_in_either_condition_are_left_out() -> None:
    control, treatment = _binary(30, 12, 100)
    control[:3], treatment[95:] = np.nan, np.nan
    decision = paired_difference(control, treatment)
    assert decision.items == 92
    assert decision.result.estimate == pytest.approx((27 - 12) / 92)


def test_conditions_with_different_items_are_refused() -> None:
    with pytest.raises(StatsError, match="same items"):
        paired_difference(np.zeros((3, 1)), np.zeros((4, 1)))


@pytest.mark.parametrize(("n", "discordant"), [(100, 0.16), (200, 0.1), (400, 0.06)])
def test_score_rule_holds_its_size_by_exact_enumeration(n: int, discordant: float) -> None:
    half = discordant / 2
    counts = np.arange(n + 1)
    gains, losses = (grid.ravel() for grid in np.meshgrid(counts, counts))
    inside = gains + losses <= min(n, int(4 * n * discordant) + 10)
    gains, losses = gains[inside], losses[inside]
    rest = n - gains - losses
    log = gammaln(n + 1) - gammaln(gains + 1) - gammaln(losses + 1) - gammaln(rest + 1)
    weight = np.exp(log + (gains + losses) * np.log(half) + rest * np.log1p(-discordant))
    low, high = tango_limits(gains, losses, np.full(gains.shape, n))
    rejects = ((low > 0) | (high < 0)) & (gains + losses >= 6)
    assert weight.sum() == pytest.approx(1, abs=1e-6)
    assert 0.042 <= weight[rejects].sum() <= 0.054


def test_t_on_item_differences_holds_its_size_in_a_quick_simulation() -> None:
    rng = np.random.default_rng(11)
    wrong = sum(
        (paired_difference(*_repeated(rng, 100, 0.7)).result.p_value or 1) < 0.05 for _ in range(1000)
    )
    assert 30 <= wrong <= 72  # .05 within three standard errors


def test_few_differing_items_are_judged_with_caution_in_a_quick_simulation() -> None:
    rng = np.random.default_rng(12)
    wrong, cases = 0, 0
    for _ in range(1000):
        decision = paired_difference(*_repeated(rng, 30, 0.93))
        cases += decision.result.test == "adjusted_wald"
        wrong += decision.decidable and (decision.result.p_value or 1) < 0.05
    assert cases > 900
    assert wrong <= 55
