"""What an author's own metrics make of the kept rows: in this process, when results are written."""

from __future__ import annotations

import math
import reprlib
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from crucible_ray.errors import SpecError
from crucible_ray.experiment.modules import own_frames
from crucible_ray.experiment.plan import OwnMetricPlan, Plan
from crucible_ray.records import Item, Usage

COLUMNS: Final = (
    "trial", "error", "prediction", "latency_us", "cost_usd", "input_tokens", "output_tokens", "reasoning_tokens",
    "finish_reason", "consensus", "calls",
)  # fmt: skip
"""Of a kept row: what a metric may look at."""


class AcceptedReply(Struct, frozen=True, kw_only=True):
    """What a metric is given: the answer that a trial came to."""

    text: str
    """The accepted reply, word for word; of an ensemble or a function its answer, as `prediction` has it."""
    prediction: str | None
    """What `parse` read in it; None: nothing."""
    usage: Usage
    finish_reason: str | None
    latency_ms: float | None
    cost_usd: float | None
    consensus: float | None
    confidence: float | None = None
    condition: str
    repeat: int


class OwnScores:
    """Scores rows by the functions of a plan's own metrics."""

    def __init__(
        self, plan: Plan, items: Sequence[Item], functions: Mapping[str, Callable[[Any, Any], Any]]
    ) -> None:
        self._plan, self._items, self._functions = plan, items, functions

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns, in their order."""
        return tuple(each.name for each in self._plan.own_metrics)

    def columns(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, list[float | None]]:
        """One value a row and metric; None for a failed trial, and for one without a value.

        rows: with the fields in COLUMNS. Raises SpecError where a function fails, with its author's frames alone.
        """
        found: dict[str, list[float | None]] = {name: [] for name in self.names}
        for row in rows:
            failed = row["error"] is not None and row["error"] != "parse_failed"
            reply = None if failed else self._reply(row)
            for metric in self._plan.own_metrics:
                found[metric.name].append(None if reply is None else self._score(metric, reply, row))
        return found

    def _reply(self, row: Mapping[str, Any]) -> AcceptedReply:
        count = len(self._plan.conditions)
        block, index = divmod(row["trial"], count)
        condition = self._plan.conditions[index]
        text = row["prediction"] or ""
        if condition.kind == "model":
            texts = [call["text"] for call in row["calls"] if call["outcome"] == "ok"]
            text = (texts[-1] if texts else None) or ""
        latency_us = row["latency_us"]
        return AcceptedReply(
            text=text,
            prediction=row["prediction"],
            usage=Usage(
                input_tokens=row["input_tokens"],
                output_tokens=row["output_tokens"],
                reasoning_tokens=row["reasoning_tokens"],
            ),
            finish_reason=row["finish_reason"],
            latency_ms=None if latency_us is None else latency_us / 1000,
            cost_usd=row["cost_usd"],
            consensus=row["consensus"],
            condition=condition.name,
            repeat=block % self._plan.repeats,
        )

    def _score(self, metric: OwnMetricPlan, reply: AcceptedReply, row: Mapping[str, Any]) -> float | None:
        item = self._items[row["trial"] // len(self._plan.conditions) // self._plan.repeats]
        where = (
            f"metric {metric.name!r}, condition {reply.condition!r}, item {item.id!r}, repeat {reply.repeat}"
        )
        try:
            value = self._functions[metric.name](reply, item)
        except Exception as error:
            raise SpecError((f"{where}: it failed.\n{theirs(error)}",)) from error
        if value is None:
            return 0.0 if metric.missing == "zero" else None
        wrong = _wrong(metric.kind, value)
        if wrong is not None:
            raise SpecError((f"{where}: it returned {_shown(value)}, which is {wrong}.",))
        return float(value)


def theirs(error: BaseException) -> str:
    """An error as its author should see it: the frames of their files, not of ours or a library's."""
    return f"{''.join(traceback.format_list(own_frames(error)))}{type(error).__name__}: {error}"


def _shown(value: Any) -> str:
    """A value in some words: it may be long, and its own repr may fail."""
    try:
        return reprlib.repr(value)
    except Exception:  # noqa: BLE001 - whatever an author's class raises, and an integer of too many digits
        return f"a {type(value).__name__}"


def _wrong(kind: str, value: Any) -> str | None:
    """Why a value is none of its kind."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return "no number"
    except OverflowError:
        return "more than a number can be here"
    if not math.isfinite(number):
        return "not finite"
    if kind == "binary" and number not in (0.0, 1.0):
        return "neither 0 nor 1, as kind='binary' wants it"
    if kind == "proportion" and not 0.0 <= number <= 1.0:
        return "not between 0 and 1, as kind='proportion' wants it"
    if kind == "count" and (number < 0 or number != int(number)):
        return "no count"
    return None
