"""`benchmarks/calibration.py` measures the functions that are shipped, and states every bound that is promised."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from benchmarks import calibration, calibration_page, many_repeats, peeking, rules
from benchmarks.scenarios import Baseline, Counts, Scenario, by_step, chance_of, splits
from crucible_ray.stats import betting_sequence, bootstrap_ci, mcnemar, paired_permutation, paired_t, welch_t
from crucible_ray.stats.result import Floats

SMALL = calibration.Scale(
    items=(20, 60),
    accuracies=(0.5, 0.9),
    differences=(0.0, 0.1),
    sims=400,
    transformed=100,
    looks=40,
    many=50,
)


def _tables(draws: Counts, repeats: int) -> tuple[Floats, Floats]:
    """0/1 answers of one simulated experiment, shape [items, repeats]."""
    before, after = (np.repeat(axis, draws) for axis in np.divmod(np.arange(len(draws)), repeats + 1))
    places = np.arange(repeats)
    return tuple((places < right[:, None]).astype(float) for right in (before, after))  # type: ignore[return-value]


@pytest.mark.parametrize("baseline", ["stochastic", "frozen"])
@pytest.mark.parametrize("repeats", [1, 3])
def test_other_rules_are_those_that_are_shipped(repeats: int, baseline: Baseline) -> None:
    scenario = Scenario(25, repeats, 0.7, 0.1, baseline)
    draws = scenario.draws(40, np.random.default_rng(repeats))
    steps = by_step(draws, repeats)
    welch, flips = rules.pooled_welch(draws, repeats), rules.sign_flip(steps)
    for row, one in enumerate(draws):
        control, treatment = _tables(one, repeats)
        found = welch_t(control, treatment)
        assert welch.p_value is not None
        assert welch.low is not None
        assert flips.p_value is not None
        assert (welch.p_value[row], welch.low[row]) == pytest.approx((found.p_value, found.ci_low))
        flipped = paired_permutation(control, treatment)
        assert flips.p_value[row] == pytest.approx(1.0 if flipped.p_value is None else flipped.p_value)
        if repeats == 1:
            exact = rules.exact_mcnemar(steps[row : row + 1]).p_value
            assert exact is not None
            assert exact[0] == pytest.approx(mcnemar(control[:, 0], treatment[:, 0], variant="exact").p_value)


@pytest.mark.parametrize("corrected", [True, False])
def test_the_bootstrap_without_resampling_is_the_resampled_one(corrected: bool) -> None:
    repeats = 3
    steps = by_step(Scenario(40, repeats, 0.9, -0.1, "frozen").draws(5, np.random.default_rng(4)), repeats)
    said = rules.bootstrap(steps, corrected=corrected)
    assert said.low is not None
    assert said.high is not None
    for row, counts in enumerate(steps):
        diff = np.repeat(np.arange(-repeats, repeats + 1) / repeats, counts)
        drawn = bootstrap_ci(diff, method="bca" if corrected else "percentile", resamples=50_000)
        # One step of the sum, which is where quantiles of two simulations differ.
        assert (said.low[row], said.high[row]) == pytest.approx(drawn, abs=1.01 / (40 * repeats))


def test_plain_t_of_many_repeats_is_the_shipped_paired_t() -> None:
    repeats = 40
    draws = np.random.default_rng(5).multinomial(
        20, Scenario(20, repeats, 0.9, -0.03, "frozen").steps, size=8
    )
    said = many_repeats.plain_t(draws)
    assert said.p_value is not None
    assert said.low is not None
    for row, counts in enumerate(draws):
        diff = np.repeat(np.arange(-repeats, repeats + 1) / repeats, counts)
        one = paired_t(np.zeros(20), diff)
        assert (said.p_value[row], said.low[row]) == pytest.approx((one.p_value, one.ci_low))


def test_looks_at_any_time_are_those_of_the_betting_sequence() -> None:
    scenario = Scenario(150, 3, 0.6, 0.1)
    rng = np.random.default_rng(9)
    drawn = np.array([peeking._one_item(scenario, 60, rng) for _ in range(scenario.items)])
    decided = [betting_sequence((steps - 3) / 3).decided_at is not None for steps in drawn.T]
    rate, _ = peeking.at_any_time(scenario, 60, np.random.default_rng(9))
    assert 0.1 < rate < 0.95
    assert rate == np.mean(decided)


def test_outcomes_of_one_repeat_are_all_gone_through() -> None:
    scenario = Scenario(30, 1, 0.7, 0.05, "greedy")
    outcomes = splits(30, 30)
    chances = chance_of(outcomes, scenario.steps)
    assert chances.sum() == pytest.approx(1)
    assert chances @ (outcomes[:, 2] - outcomes[:, 0]) / 30 == pytest.approx(scenario.truth)


def test_what_is_promised_is_measured_and_said() -> None:
    found = calibration.measure(SMALL)
    said = msgspec.json.decode(msgspec.json.encode(found))
    assert {"scenario", "rule", "false_positive_rate", "coverage", "sims"} <= set(said["rows"][0])
    assert {
        "min_false_positive_rate", "max_false_positive_rate", "min_coverage", "max_coverage", "disagreements",
    } <= set(said)  # fmt: skip
    assert found.disagreements == 0
    ours = [row for row in found.rows if row.rule == "default"]
    assert found.max_false_positive_rate == max(
        row.false_positive_rate for row in ours if row.false_positive_rate is not None
    )
    shown = calibration_page.page(found)
    assert all(bound.name in shown for bound in found.bounds)
    assert all(row.rule in shown for row in found.rows)
    frozen = [each for each in found.many if each.baseline == "frozen" and each.items == 20]
    assert [each.rule for each in frozen] == ["default", "plain t"] * 2
    assert all(each.false_positives[1] > 0.2 for each in frozen if each.rule == "plain t")


def test_a_broken_bound_is_called_broken() -> None:
    held = calibration.Row(
        scenario="here", rule="default", false_positive_rate=0.065, coverage=0.935, sims=20_000, items=100,
        repeats=3, baseline="frozen", expected_differing=60.0, usual=True,
    )  # fmt: skip
    assert calibration.bounds([held])[0].passed  # .0650 is .06 and three standard errors
    wrong = msgspec.structs.replace(held, false_positive_rate=0.0652)
    assert not calibration.bounds([wrong])[0].passed
    exact = msgspec.structs.replace(held, false_positive_rate=0.0601, sims=0)
    assert not calibration.bounds([exact])[0].passed
