"""Gates: read before a run, judged after it, and against an earlier one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from msgspec.structs import replace

from crucible_ray.errors import UsageError
from crucible_ray.experiment.plan import OwnMetricPlan
from crucible_ray.reduction import reduce
from crucible_ray.reduction.gates import Earlier, check_earlier, judge, judge_against, parse_gates, with_gates
from crucible_ray.reduction.table import Table
from tests.reduction.rows import batches, plan, row


def table_of(items: int, correct: Any, *, repeats: int = 1) -> Table:
    """correct(condition, item, repeat) -> 1, 0 or None (pending)."""
    design = plan(items, repeats)
    found = Table(design)
    rows = []
    for trial in range(design.trials):
        block, condition = divmod(trial, 2)
        right = correct(condition, *divmod(block, repeats))
        if right is not None:
            rows.append(row(trial, right))
    for batch in batches(rows):
        found.add(batch)
    return found


def test_a_gate_fails_when_what_it_says_holds() -> None:
    design = plan(10)
    analysis = reduce(design, batches([row(trial, int(trial % 4 == 0)) for trial in range(20)]))
    gates = parse_gates(
        ["accuracy[single] < 0.8", "accuracy[single]<.4", "completeness[ensemble] != 1", "cost_usd >= 2e0"],
        design,
    )
    found = judge(gates, analysis, 1.5)
    assert [each.passed for each in found] == [False, True, True, True]
    assert found[0].value == 0.5
    assert found[0].detail == "it is 0.5"


def test_a_gate_without_a_value_fails() -> None:
    design = plan(4)
    analysis = reduce(design, [])
    assert [
        each.passed for each in judge(parse_gates(["accuracy[single] < 0.1"], design), analysis, None)
    ] == [False]
    assert not judge(parse_gates(["cost_usd > 100"], design), analysis, None)[0].passed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accuracy[single] ~ 1", "write it as metric"),
        ("accuracy[single] < much", "'much' is no number"),
        ("accuracy[single] < nan", "no value is above or below it"),
        ("acuracy[single] < 1", "did you mean 'accuracy'"),
        ("accuracy[singel] < 1", "did you mean 'single'"),
        ("accuracy < 1", r"accuracy\[single\]"),
        ("cost_usd[single] > 1", "of the whole run"),
    ],
)
def test_a_gate_that_cannot_be_read_says_how_to_write_it(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        parse_gates([text], plan(4))


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(UsageError) as found:
        parse_gates(["nothing < 1", "accuracy[x] < 1"], plan(4))
    assert str(found.value).count("gate ") == 2


def test_a_metric_that_a_gate_asks_about_is_reported_too() -> None:
    design = plan(4)
    asked = with_gates(design, parse_gates(["latency_p99[single] > 9000", "cost_usd > 1"], design))
    assert asked.metrics == (*design.metrics, "latency_p99")


def earlier(items: int, correct: Any, first: int = 0, *, repeats: int = 1) -> Earlier:
    ids = tuple(f"q{number}" for number in range(first, first + items))
    return Earlier("before", plan(items, repeats), table_of(items, correct, repeats=repeats), ids)


def test_worse_beyond_the_interval_is_a_regression_and_better_is_not() -> None:
    ids = [f"q{number}" for number in range(60)]
    now = table_of(60, lambda condition, item, _: int(item % 2 == 0) if condition == 0 else 1)
    then = earlier(60, lambda condition, item, _: 1 if condition == 0 else int(item % 2 == 0))
    single, ensemble = judge_against(then, plan(60), now, ids, alpha=0.05)
    assert not single.passed
    assert single.value == pytest.approx(-0.5)
    assert ensemble.passed
    assert ensemble.value == pytest.approx(0.5)
    assert "60 items in both, 0 only here, 0 only there" in single.detail
    assert "warning" not in single.detail


def test_items_are_matched_by_id_and_the_unmatched_counted() -> None:
    # Item n is right exactly when its number is a multiple of 3, in both runs: no difference, if ids are matched.
    ids = [f"q{number}" for number in range(20, 60)]
    now = table_of(40, lambda _, item, __: int((item + 20) % 3 == 0))
    then = earlier(50, lambda _, item, __: int(item % 3 == 0))
    (single, _) = judge_against(then, plan(40), now, ids, alpha=0.05)
    assert (single.passed, single.value) == (True, 0.0)
    assert (
        "30 items in both, 10 only here, 20 only there; warning: the items are not the same" in single.detail
    )


def test_repeats_that_only_one_run_has_are_left_out() -> None:
    ids = [f"q{number}" for number in range(30)]
    # Only the third repeat, which the earlier run lacks, is wrong.
    now = table_of(30, lambda _, __, repeat: int(repeat < 2), repeats=3)
    then = earlier(30, lambda _, __, ___: 1, repeats=2)
    (single, _) = judge_against(then, plan(30, 3), now, ids, alpha=0.05)
    assert single.value == 0.0


@pytest.mark.parametrize(("better", "passes"), [("higher", True), ("lower", False)])
def test_one_and_the_same_difference_in_every_item_is_judged_by_its_sign(better: str, passes: bool) -> None:
    score = OwnMetricPlan(name="score", kind="continuous", better=better, missing="drop", source="")
    ids = [f"q{number}" for number in range(5)]
    design = replace(plan(5), metrics=("score",), own_metrics=(score,))
    now, then = Table(design), Table(design)
    for table, value in ((now, 2.0), (then, 1.0)):
        for batch in batches([row(trial, 1) for trial in range(10)]):
            table.add(batch)
        table.add_own(
            pa.record_batch({"trial": pa.array(range(10), pa.int64()), "score": pa.array([value] * 10)})
        )
    found = judge_against(Earlier("then", design, then, tuple(ids)), design, now, ids, alpha=0.05)
    assert {(each.passed, each.value) for each in found} == {(passes, 1.0)}
    assert "in every item" in found[0].detail


def test_what_cannot_be_judged_does_not_pass() -> None:
    now = table_of(5, lambda *_: None)
    (single, _) = judge_against(
        earlier(5, lambda *_: 1), plan(5), now, [f"q{n}" for n in range(5)], alpha=0.05
    )
    assert not single.passed
    assert "cannot be judged" in single.detail


def test_a_baseline_with_nothing_in_common_is_refused() -> None:
    with pytest.raises(UsageError, match="no item"):
        check_earlier(earlier(5, lambda *_: 1, 100), plan(5), [f"q{n}" for n in np.arange(5)])
