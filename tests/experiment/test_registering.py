"""What is registered, when it has to be, and how a deviation reads."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from crucible_ray.experiment.plan import AnalysisPlan, OwnMetricPlan, Plan, StopPlan
from crucible_ray.experiment.registering import (
    Registration,
    is_due,
    judged,
    preregistered,
    registered_part,
    registration,
)
from tests.reduction.rows import hypothesis, plan


def _registered(asked: Plan, trials: int = 0) -> Registration:
    """As it is read back from a log."""
    made = registration(asked, after_trials=trials, at="2026-11-03T10:00:00+00:00")
    return msgspec.json.decode(msgspec.json.encode(made), type=Registration)


PLAN = plan(100, hypotheses=(hypothesis("accuracy: ensemble > single"),))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"analysis": AnalysisPlan(alpha=0.1)}, ["analysis.alpha: was 0.05, is 0.1, changed after 90 trials"]),
        (
            {"hypotheses": (hypothesis("accuracy: ensemble > single + 0.05", margin=0.05),)},
            [
                "hypotheses: accuracy: ensemble > single was dropped after 90 trials",
                "hypotheses: accuracy: ensemble > single + 0.05 was added after 90 trials",
            ],
        ),
        ({"metrics": PLAN.metrics[:-1]}, ["metrics: cost_per_query was dropped after 90 trials"]),
        (
            {"conditions": (replace(PLAN.conditions[0], parse="text"), PLAN.conditions[1])},
            ["single.parse: was choice, is text, changed after 90 trials"],
        ),
        ({"analysis": AnalysisPlan(correction="none", baseline="ensemble")}, [
            "analysis.correction: was holm, is none, changed after 90 trials",
            "analysis.baseline: was none, is ensemble, changed after 90 trials",
        ]),
        (
            {"stop_when": StopPlan(rule="decided")},
            ['stop_when: was none, is {"looks":[],"rule":"decided"}, changed after 90 trials'],
        ),
        ({"budget": replace(PLAN.budget, max_total=3.0), "max_retries": 9}, []),
    ],
)  # fmt: skip
def test_every_change_of_the_analysis_is_a_deviation_and_nothing_else_is(
    changes: dict[str, Any], told: list[str]
) -> None:
    now = replace(PLAN, **changes)
    found = judged(now, [_registered(PLAN), _registered(now, 90)], trials=200)
    assert found is not None
    assert [each.told for each in found.deviations] == told
    assert found.sha256 == _registered(PLAN).sha256


def test_another_function_of_the_authors_is_a_deviation_without_its_hash() -> None:
    mine = OwnMetricPlan(name="mine", kind="continuous", source="a" * 64)
    asked = replace(PLAN, metrics=("mine",), own_metrics=(mine,))
    now = replace(asked, own_metrics=(replace(mine, source="b" * 64),))
    found = judged(now, [_registered(asked)], trials=10)
    assert found is not None
    assert [each.told for each in found.deviations] == [
        "metrics.mine: was one of the author's functions, is another, changed after 10 trials"
    ]


def test_a_plan_may_change_until_the_first_trial_has_a_row() -> None:
    other = replace(PLAN, hypotheses=())
    assert preregistered([_registered(PLAN), _registered(other)]) == _registered(other)
    assert is_due(PLAN, [], trials=0)
    assert is_due(other, [_registered(PLAN)], trials=0)
    assert not is_due(PLAN, [_registered(PLAN)], trials=50)
    assert is_due(other, [_registered(PLAN)], trials=50)


def test_a_run_that_began_without_a_registration_has_none() -> None:
    assert not is_due(PLAN, [], trials=50)
    assert judged(PLAN, [], trials=50) is None


def test_a_change_is_dated_from_when_it_became_what_it_is() -> None:
    loose, looser = (replace(PLAN, analysis=AnalysisPlan(alpha=alpha)) for alpha in (0.1, 0.2))
    history = [
        _registered(each, k) for each, k in ((PLAN, 0), (loose, 20), (PLAN, 40), (loose, 60), (loose, 80))
    ]
    for now, trials in ((loose, 60), (looser, 200)):
        found = judged(now, history, trials=200)
        assert found is not None
        assert [each.after_trials for each in found.deviations] == [trials]
    back = judged(PLAN, history, trials=200)
    assert back is not None
    assert back.deviations == ()


def test_a_registered_plan_that_was_edited_is_told_by_its_hash() -> None:
    honest = _registered(PLAN)
    part = registered_part(replace(PLAN, analysis=AnalysisPlan(alpha=0.2)))
    found = judged(replace(PLAN, analysis=AnalysisPlan(alpha=0.2)), [replace(honest, plan=part)], trials=10)
    assert found is not None
    assert [each.what for each in found.deviations] == ["registration"]


def test_an_option_that_a_later_version_brought_is_no_deviation_at_its_default() -> None:
    part = registered_part(PLAN)
    del part["analysis"]["correction"]
    earlier = Registration(sha256="", plan=part, after_trials=0, at="")
    assert not is_due(PLAN, [earlier], trials=10)
    assert is_due(replace(PLAN, analysis=AnalysisPlan(correction="none")), [earlier], trials=10)
