"""Judge scores corrected by people's, and the ordered logit beside them."""

from __future__ import annotations

import numpy as np
import pytest

from crucible_ray.errors import StatsError
from crucible_ray.stats import judge_accuracy, judged_difference, ordered_logit
from tests.stats.references_judging import CONTROL, HUMAN, TREATMENT


def test_a_kinder_judge_fakes_a_difference_that_human_scores_take_away() -> None:
    """Both conditions are right on 80 %; the judge sees .97 of right answers in one and .93 in the other."""
    rng = np.random.default_rng(11)
    judge_alone, corrected, misses = [], [], 0
    for _ in range(400):
        right = rng.random((2, 1000)) < 0.8
        seen = np.where(right, rng.random((2, 1000)) < [[0.93], [0.97]], rng.random((2, 1000)) < 0.05)
        looked = rng.permutation(1000) < 200
        human = np.where(looked, right.astype(float), np.nan)
        result = judged_difference((seen[0], seen[1]), (human[0], human[1]))
        assert result.estimate is not None
        assert result.ci_low is not None
        assert result.ci_high is not None
        judge_alone.append(seen[1].mean() - seen[0].mean())
        corrected.append(result.estimate)
        misses += not result.ci_low <= 0.0 <= result.ci_high
    assert np.mean(judge_alone) == pytest.approx(0.032, abs=0.002)
    assert np.mean(corrected) == pytest.approx(0.0, abs=0.005)
    assert 0.025 < misses / 400 < 0.085


def test_a_good_judge_makes_the_interval_narrower_than_human_scores_alone() -> None:
    result = judged_difference((CONTROL, TREATMENT), (HUMAN[0], HUMAN[1]))
    alone = judged_difference((CONTROL, TREATMENT), (HUMAN[0], HUMAN[1]), tuning=0.0)
    trusted = judged_difference((CONTROL, TREATMENT), (HUMAN[0], HUMAN[1]), tuning=1.0)
    widths = [
        r.ci_high - r.ci_low
        for r in (result, alone, trusted)
        if r.ci_high is not None and r.ci_low is not None
    ]
    assert widths[0] == min(widths)


def test_it_says_what_the_judge_alone_would_have_said_and_how_many_were_looked_at() -> None:
    result = judged_difference((CONTROL, TREATMENT), (HUMAN[0], HUMAN[1]))
    assert result.notes[0].startswith("20 of 60 items have human scores")
    assert result.notes[1] == "the judge alone would have said +0.3, p = .019"
    assert "rough" in result.notes[2]


def test_sensitivity_and_specificity_leave_out_what_nobody_looked_at() -> None:
    found = judge_accuracy([1, 0, 1, 1, 0], [1, 1, np.nan, 0, 0])
    assert (found.sensitivity, found.specificity, found.n) == (0.5, 0.5, 4)
    none_wrong = judge_accuracy([1, 0], [1, 1])
    assert none_wrong.specificity is None
    assert none_wrong.specificity_ci is None


def test_repeats_of_an_item_count_as_one_cluster_of_the_ordered_logit() -> None:
    single = ordered_logit(CONTROL, TREATMENT)
    thrice = ordered_logit(np.repeat([CONTROL], 3, axis=0).T, np.repeat([TREATMENT], 3, axis=0).T)
    assert thrice.estimate == pytest.approx(single.estimate, rel=1e-5)
    assert thrice.statistic == pytest.approx(single.statistic, rel=0.02)
    assert single.effect_sizes["odds_ratio"] == pytest.approx(1.45, abs=0.005)


@pytest.mark.parametrize(
    ("judged", "human", "told"),
    [
        (([1, 0, 1], [1, 1]), ([1, 0, 1], [1, 1, 1]), "there are 3, 2, 3, 3"),
        (([1, 0, 1], [1, 1, 1]), ([1, 0, 1], [1, 1, 1]), "two without; here there are 3 and 0"),
        (
            ([np.nan, 0, 1, 1], [1, 1, 1, 0]),
            ([1, 0, np.nan, np.nan], [1, 1, np.nan, np.nan]),
            "1 items have human scores and no score of the judge",
        ),
    ],
)
def test_scores_that_do_not_hold_together_are_refused(
    judged: tuple[list[float], list[float]], human: tuple[list[float], list[float]], told: str
) -> None:
    with pytest.raises(StatsError, match=told):
        judged_difference(judged, human)


def test_separated_scores_and_the_same_scores_have_a_reason_instead_of_an_answer() -> None:
    with pytest.raises(StatsError, match="separate the scores wholly"):
        ordered_logit([1, 1, 1, 2], [3, 3, 3, 3])
    same = ordered_logit([1, 2, 3, 4], [1, 2, 3, 4])
    assert same.p_value is None
    assert "same scores" in same.notes[0]
    with pytest.raises(StatsError, match="0 and 1"):
        judge_accuracy([3, 4], [1, 1])


def test_an_ordered_logit_of_as_many_scores_as_answers_is_refused() -> None:
    with pytest.raises(StatsError, match="more answers than different scores"):
        ordered_logit([1.0, 2.0], [3.0, 4.0])


@pytest.mark.parametrize(("control", "treatment"), [([3, 4], [2, 2]), ([2, 5], [2, 2])])
def test_an_ordered_logit_whose_likelihood_is_flat_is_refused(
    control: list[int], treatment: list[int]
) -> None:
    with pytest.raises(StatsError, match="no finite answer"):
        ordered_logit(control, treatment)
