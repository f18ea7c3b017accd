"""One trial whole: what was asked, every attempt at every call, what was read in the replies, what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from crucible_ray.api.result import RunResult
from crucible_ray.errors import UsageError
from crucible_ray.experiment.defaults import own_parser
from crucible_ray.experiment.plan import ConditionPlan, Plan
from crucible_ray.prompts import parser
from crucible_ray.records import Item, Message
from crucible_ray.settings import did_you_mean


class ShownAttempt(Struct, frozen=True, kw_only=True):
    """One attempt at one call: a row of `calls.parquet`, its prompt, and what was read in its reply."""

    facts: dict[str, Any]
    messages: tuple[Message, ...] | None
    """None: the prompt is not recorded."""
    parsed: str | None
    """What `parse` makes of the reply; None: nothing, or there is none."""


class ShownTrial(Struct, frozen=True, kw_only=True):
    """A trial and all that is recorded of it."""

    trial: int
    condition: str
    item: Item
    repeat: int
    row: dict[str, Any] | None
    """Its row of `results.parquet`; None: it is pending."""
    attempts: tuple[ShownAttempt, ...]
    failure: str | None = None
    """Of a function that gave no answer: what its author's code raised, with their own frames, or what cut it."""


def trial_number(
    plan: Plan, items: tuple[Item, ...], *, item: str | None, condition: str | None, repeat: int
) -> int:
    """The number of a trial by what it is; condition may be left out where there is one. Raises UsageError."""
    ids = [each.id for each in items]
    names = [each.name for each in plan.conditions]
    if item is None or (condition is None and len(names) > 1):
        raise UsageError("say which trial: its number, or --item ID --condition NAME [--repeat K].")
    condition = names[0] if condition is None else condition
    if item not in ids:
        raise UsageError(f"no item has the id {item!r}: {_near(item, ids)}")
    if condition not in names:
        raise UsageError(f"no condition is called {condition!r}: {did_you_mean(condition, names)}")
    if not 0 <= repeat < plan.repeats:
        raise UsageError(f"repeat {repeat} does not exist: they are 0 to {plan.repeats - 1}.")
    return (ids.index(item) * plan.repeats + repeat) * len(names) + names.index(condition)


def shown_trial(result: RunResult, items: tuple[Item, ...], trial: int) -> ShownTrial:
    """All that is recorded of one trial. Raises UsageError for one that does not exist."""
    plan = result.plan
    if not 0 <= trial < plan.trials:
        raise UsageError(f"trial {trial} does not exist: they are 0 to {plan.trials - 1}.")
    block, index = divmod(trial, len(plan.conditions))
    number, repeat = divmod(block, plan.repeats)
    rows = _of_trial(result.table("results.parquet"), trial)
    calls = _of_trial(result.table("calls.parquet"), trial)
    prompts = _prompts(result.table("prompts.parquet"), {call["prompt"] for call in calls})
    read = [None if own_parser(each) else parser(each) for each in plan.conditions[index].parses]

    def attempt(call: dict[str, Any]) -> ShownAttempt:
        answered = call["outcome"] == "ok" and call["text"] is not None
        reader = read[_place(plan.conditions[index], call["call"])] if read else None
        return ShownAttempt(
            facts=call,
            messages=prompts.get(call["prompt"]),
            parsed=call.get("read")
            if reader is None
            else reader(call["text"], items[number])
            if answered
            else None,
        )

    return ShownTrial(
        trial=trial,
        condition=plan.conditions[index].name,
        item=items[number],
        repeat=repeat,
        row=rows[0] if rows else None,
        attempts=tuple(map(attempt, calls)),
    )


def _place(condition: ConditionPlan, call: int) -> int:
    """Which of a condition's calls this is, or stands in for."""
    places = range(len(condition.calls))
    return call if call in places else next((each for each in places if call in condition.spares(each)), 0)


def _of_trial(path: Path, trial: int) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    found: list[dict[str, Any]] = pq.read_table(path, filters=[("trial", "==", trial)]).to_pylist()
    return found


def _prompts(path: Path, keys: set[str]) -> dict[str, tuple[Message, ...]]:
    import pyarrow.parquet as pq

    if not keys:
        return {}
    found = pq.read_table(path, filters=[("prompt", "in", keys)]).to_pylist()
    return {each["prompt"]: msgspec.json.decode(each["messages"], type=tuple[Message, ...]) for each in found}


def _near(name: str, known: Iterable[str]) -> str:
    shown = did_you_mean(name, known)
    return shown if len(shown) < 200 else "dataset.jsonl has them all."
