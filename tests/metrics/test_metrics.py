from __future__ import annotations

import pytest

from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import METRIC_NAMES
from crucible_ray.metrics import METRICS, metric, score_accuracy


@pytest.mark.parametrize(
    ("prediction", "expected", "score"),
    [
        ("B", "B", 1),
        ("b ", "B", 1),
        ("A", "B", 0),
        (None, "B", 0),
        ("B", None, None),
        (None, None, None),
        ("北京", "上海", 0),
        ("", "B", 0),
    ],
)
def test_accuracy_scores_an_answer(prediction: str | None, expected: str | None, score: int | None) -> None:
    assert score_accuracy(prediction, expected, lambda text: text.strip().lower()) == score


def test_the_registry_holds_what_an_experiment_may_name() -> None:
    assert tuple(METRICS) == METRIC_NAMES
    assert all(name == each.name for name, each in METRICS.items())


def test_a_metric_is_a_mean_over_trials_a_quantile_or_a_ratio_of_totals() -> None:
    for each in METRICS.values():
        assert [each.per_trial, each.quantile is not None, each.over is not None].count(True) == 1
    assert metric("cost_per_correct").over == "correct"
    assert metric("latency_p95").quantile == 0.95


def test_less_time_and_money_are_better_and_more_accuracy_and_agreement_are() -> None:
    assert {each.name for each in METRICS.values() if each.better == "higher"} == {"accuracy", "consensus"}


def test_an_unknown_metric_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="did you mean 'accuracy'"):
        metric("acuracy")
    with pytest.raises(SpecError, match="known: accuracy"):
        metric("zzz")
