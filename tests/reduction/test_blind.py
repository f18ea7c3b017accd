"""What a hidden analysis lets out: labels in their own order, nothing that would tell one."""

from __future__ import annotations

import json

from crucible_ray.experiment.blinding import Blind, hidden, in_order, labels, standing, without_names
from crucible_ray.experiment.registering import registration
from crucible_ray.reduction import encode, reduce
from crucible_ray.reduction.blind import hidden_analysis
from crucible_ray.reports import Source, page, write_markdown
from tests.reduction.rows import batches, condition, hypothesis, model, plan, row

NAMES = ("zebra", "quokka", "lemur")
PLAN = plan(
    40,
    2,
    blind=True,
    seed=1,
    metrics=("accuracy", "latency_mean", "cost_per_query"),
    conditions=(
        condition(NAMES[0], [model("m0")]),
        condition(NAMES[1], [model("m0"), model("m1"), model("m2")]),
        condition(NAMES[2], [model("m1")]),
    ),
    hypotheses=(hypothesis("accuracy: quokka > zebra", a="quokka", b="zebra"),),
)


def test_labels_stand_in_their_own_order_and_costs_latencies_and_hypotheses_wait() -> None:
    assert list(labels(PLAN).values()) != sorted(labels(PLAN).values()), "a seed whose lots change the order"
    rows = [
        row(t, int(t % 5 > t % 3), "timeout" if t in (1, 4) else None, cost_usd=0.01 * (t % 3))
        for t in range(150)
    ]
    found = hidden_analysis(reduce(hidden(PLAN), batches(rows)), Blind(hidden=True))
    assert list(found.conditions) == ["condition A", "condition B", "condition C"]
    failed = {name: each.completeness.failed for name, each in found.conditions.items()}
    assert failed == {
        label: 2 * (name == "quokka") for name, label in sorted(labels(PLAN).items(), key=lambda p: p[1])
    }
    text = json.dumps(json.loads(encode(found)))
    assert found.hypotheses == ()
    assert found.variance == {}
    assert not [name for name in (*NAMES, "m0", "latency_ms", "0.0123") if name in text]
    assert {(c.metric, c.a, c.b) for c in found.comparisons} == {
        ("accuracy", "condition B", "condition A"), ("accuracy", "condition C", "condition A"),
    }  # fmt: skip
    report = write_markdown(page(Source(plan=in_order(hidden(PLAN)), analysis=found)))
    assert not [name for name in (*NAMES, "m0", "majority") if name in report]
    assert f"| {labels(PLAN)['quokka']} | timeout | 2 |" in report


def test_names_are_told_when_all_trials_are_in_or_when_that_is_recorded() -> None:
    assert standing(PLAN, [], trials=239) == Blind(hidden=True)
    whole = standing(PLAN, [], trials=240)
    assert whole is not None
    assert whole.labels == {label: name for name, label in sorted(labels(PLAN).items(), key=lambda p: p[1])}
    early = registration(PLAN, after_trials=90, at="2026-11-03T10:00:00+00:00", unblinded=True)
    told = standing(PLAN, [early], trials=90)
    assert told is not None
    assert (told.hidden, told.after_trials) == (False, 90)
    assert standing(plan(40), [], trials=0) is None


def test_a_line_for_people_names_no_condition() -> None:
    assert (
        without_names("zebra and zebras: 'quokka' failed", PLAN)
        == "a condition and zebras: 'a condition' failed"
    )
    assert without_names("zebra", plan(4)) == "zebra"
