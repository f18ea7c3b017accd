"""The command that is offered first is the one that helps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from crucible_ray.api.next_steps import next_steps, recipe
from crucible_ray.experiment.plan import FunctionPlan, Plan
from crucible_ray.reduction import reduce
from tests.reduction.rows import batches, condition, model, plan, row


def _steps(asked: Plan, errors: Sequence[str | None], status: str = "complete") -> list[str]:
    rows = [row(trial, 0, error) for trial, error in enumerate(errors)]
    analysis = reduce(asked, batches(rows))
    failed = sum(error not in (None, "parse_failed") for error in errors)
    found = next_steps(asked, analysis, status, failed, Path("DIR"))
    return [each.removeprefix("crucible-ray ") for each in found]


def _one(items: int, **how: Any) -> Plan:
    return plan(items, conditions=(replace(condition("single", [model("m1")]), **how),))


@pytest.mark.parametrize(
    ("errors", "first"),
    [
        ([None] * 20, "reproduce DIR"),
        (["timeout"] + [None] * 19, "retry DIR"),
        (["parse_failed"] + [None] * 19, "reproduce DIR"),
        (["parse_failed"] * 2 + [None] * 18, "rescore DIR --parse NAME"),
        (["exception"] * 20, "rescore DIR --parse NAME"),
    ],
    ids=["nothing amiss", "a failed call", "an odd reply", "unreadable replies", "a parser that raised"],
)
def test_replies_that_could_not_be_read_are_read_again_and_failed_calls_are_made_again(
    errors: list[str | None], first: str
) -> None:
    assert _steps(_one(20), errors)[0] == first


def test_where_both_happened_both_are_offered_and_a_parser_alone_needs_no_retry() -> None:
    both = _steps(_one(20), ["exception"] * 10 + ["timeout"] * 10)
    assert both == ["rescore DIR --parse NAME", "retry DIR", "reproduce DIR"]
    assert "retry DIR" not in _steps(_one(20), ["exception"] * 20)


def test_a_function_that_raised_runs_again_since_there_is_no_reply_to_read() -> None:
    function = FunctionPlan(name="f", source="0" * 64, timeout_s=60, attempt_timeout_s=30)
    asked = _one(20, kind="function", calls=(), function=function)
    assert _steps(asked, ["exception"] * 20) == ["retry DIR", "reproduce DIR"]


def test_a_run_that_stopped_is_resumed_first() -> None:
    assert _steps(_one(20), ["parse_failed"] * 5, "interrupted") == ["resume DIR"]
    assert _steps(_one(20), [None] * 5, "budget") == ["resume DIR --max-cost USD"]


def test_a_simulated_run_is_asked_anew_of_the_simulator_with_the_arguments_it_had(tmp_path: Path) -> None:
    (tmp_path / "environment.json").write_text("{}")
    asked = _one(20)
    real = replace(asked, source="exp.py:experiment", params={"prompt": "Be brief"})
    again = f"crucible-ray run exp.py:experiment -P 'prompt=Be brief' --repeat {asked.repeats} --seed {asked.seed}"
    assert recipe(real, tmp_path)[1] == again
    assert recipe(replace(real, simulated={}), tmp_path)[1] == f"{again} --simulate"
