"""Rows, logs and plans for the journal's tests."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from crucible_ray.experiment.plan import CallPlan, ConditionPlan, Plan, PromptPlan
from crucible_ray.journal.log import Journal
from crucible_ray.journal.rows import RowBuffer, read_rows
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.journal.store import inline
from crucible_ray.ports import LogStore
from crucible_ray.records import Call, Item, ModelRef, Row

MODEL = ModelRef(name="m", provider="simulated", model="m", base_url="http://127.0.0.1", limit_group="m")


def call(**changes: Any) -> Call:
    """A call that went well."""
    fields: dict[str, Any] = {
        "call": 0,
        "attempt": 0,
        "model": "m",
        "request": "r0",
        "prompt": "p0",
        "started_us": 0,
        "ended_us": 1500,
        "outcome": "ok",
        "status": 200,
        "text": "Answer: B",
        "finish_reason": "stop",
        "model_version": "m-2026-01-01",
        "input_tokens": 10,
        "output_tokens": 2,
        "cost_usd": 0.25,
    }
    return Call(**(fields | changes))


def row(trial: int, **changes: Any) -> Row:
    """A row with one call that went well."""
    fields: dict[str, Any] = {
        "trial": trial,
        "error": None,
        "prediction": "B",
        "correct": 1,
        "latency_us": 1500,
        "cost_usd": 0.25,
        "input_tokens": 10,
        "output_tokens": 2,
        "reasoning_tokens": None,
        "finish_reason": "stop",
        "retries": 0,
        "calls": (call(),),
    }
    return Row(**(fields | changes))


def table(*rows: Row, prompts: Iterable[tuple[str, str] | None] = ()) -> pa.Table:
    """Rows as a client sends them."""
    buffer = RowBuffer()
    texts = list(prompts)
    for k, one in enumerate(rows):
        text = texts[k] if k < len(texts) else None
        buffer.append(one, () if text is None else (text,))
    return read_rows(buffer.take())


def plan(*, items: int, repeats: int = 1, conditions: tuple[str, ...] = ("a", "b")) -> Plan:
    """A plan of that size."""
    made = CallPlan(model=MODEL, timeout_s=1.0, attempt_timeout_s=1.0)
    return Plan(
        experiment_id="exp_0123456789ab",
        name="test",
        dataset="items.jsonl",
        dataset_checksum="0",
        items=items,
        repeats=repeats,
        conditions=tuple(
            ConditionPlan(
                name=n, kind="model", calls=(made,), prompt=PromptPlan(template="q"), parse="choice"
            )
            for n in conditions
        ),
        metrics=("accuracy",),
    )


def items(count: int) -> list[Item]:
    """So many questions."""
    return [Item(id=f"i{k}", input=f"question {k}", expected="B") for k in range(count)]


async def opened(store: LogStore, writer: str = "first", **options: Any) -> Journal:
    """A journal, without threads."""
    defaults: dict[str, Any] = {"writer": writer, "checkpoint_every": 2, "offload": inline}
    return await Journal.open(store, **(defaults | options))


def state_of(store: LogStore, *, conditions: int = 2) -> JournalState:
    """What the log says."""
    return asyncio.run(read_state(store, conditions=conditions))
