"""A record of a million rows, made up, and what it costs to reduce it to an analysis."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from crucible_ray.experiment.plan import (
    AnalysisPlan,
    CallPlan,
    ConditionPlan,
    HypothesisPlan,
    Plan,
    PromptPlan,
)
from crucible_ray.journal.rows import ROW_SCHEMA
from crucible_ray.records import Limits, ModelRef
from crucible_ray.reduction import Analysis, reduce

_BATCH = 20_000
_MEMBERS = 3


def plan(rows: int) -> Plan:
    """One model against three that vote, two repeats: so many rows in all."""
    return Plan(
        experiment_id="exp_0123456789ab",
        name="A million rows",
        dataset="items.jsonl",
        dataset_checksum="0" * 64,
        items=rows // 4,
        repeats=2,
        metrics=("accuracy", "latency_mean", "latency_p95", "cost_per_query", "cost_per_correct"),
        conditions=(_condition("single", 1), _condition("ensemble", _MEMBERS)),
        hypotheses=(
            HypothesisPlan(
                text="accuracy: ensemble > single", metric="accuracy", a="ensemble", b="single",
                relation="superiority", margin=0.0,
            ),
        ),
        analysis=AnalysisPlan(),
    )  # fmt: skip


def _condition(name: str, members: int) -> ConditionPlan:
    models = [
        ModelRef(
            name=f"m{member}", provider="openai", model=f"m{member}", base_url="http://127.0.0.1:1/v1",
            limit_group="m", limits=Limits(), input_price=1.0, output_price=1.0,
        )
        for member in range(members)
    ]  # fmt: skip
    return ConditionPlan(
        name=name,
        kind="model" if members == 1 else "ensemble",
        calls=tuple(
            CallPlan(model=model, max_tokens=100, timeout_s=60, attempt_timeout_s=30) for model in models
        ),
        prompt=PromptPlan(template="{{ input }}"),
        parse="choice",
        vote=None if members == 1 else "majority",
    )


def record(rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of `plan`, in batches as they are read from a log."""
    rng = np.random.default_rng(5)
    for first in range(0, rows, _BATCH):
        trials = np.arange(first, min(first + _BATCH, rows))
        yield _batch(trials, rng)


def _batch(trials: np.ndarray[tuple[int], np.dtype[np.int64]], rng: np.random.Generator) -> pa.RecordBatch:
    n, votes = len(trials), trials % 2 == 1
    right = rng.random(n) < np.where(votes, 0.8, 0.77)
    told = np.array(["answer: A", "The answer is B.", "C", "I would say D"])
    calls = np.where(votes, _MEMBERS, 1)
    offsets = np.concatenate([[0], np.cumsum(calls)])
    total = int(offsets[-1])
    call = {
        "call": np.arange(total) - np.repeat(offsets[:-1], calls),
        "outcome": np.full(total, "ok"),
        "text": told[rng.integers(0, 4, total)],
        "finish_reason": np.full(total, "stop"),
    }
    kind = ROW_SCHEMA.field("calls").type
    members = [
        pa.array(call[field.name], field.type) if field.name in call else pa.nulls(total, field.type)
        for field in kind.value_type
    ]
    nested = pa.ListArray.from_arrays(
        pa.array(offsets, pa.int32()),
        pa.StructArray.from_arrays(members, fields=list(kind.value_type)),
        type=kind,
    )
    columns = {
        "trial": trials, "correct": right.astype(np.int64), "prediction": told[rng.integers(0, 4, n)],
        "latency_us": rng.lognormal(14, 0.5, n).astype(np.int64), "cost_usd": rng.exponential(0.001, n),
        "consensus": np.where(votes, 0.67, np.nan), "unsent": np.zeros(n, np.int64), "saved_usd": np.zeros(n),
    }  # fmt: skip
    arrays = [
        nested
        if field.name == "calls"
        else pa.array(columns[field.name], field.type)
        if field.name in columns
        else pa.nulls(n, field.type)
        for field in ROW_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=ROW_SCHEMA)


def reduced(rows: int) -> tuple[Analysis, float]:
    """The analysis, and seconds of CPU that it took without making the rows up."""
    making_s = 0.0

    def timed() -> Iterator[pa.RecordBatch]:
        nonlocal making_s
        batches = record(rows)
        while True:
            began_s = time.process_time()
            batch = next(batches, None)
            making_s += time.process_time() - began_s
            if batch is None:
                return
            yield batch

    began_s = time.process_time()
    found = reduce(plan(rows), timed(), member_score=_score)
    return found, time.process_time() - began_s - making_s


def _score(condition: int, member: int, item: int, text: str, read: str | None) -> int:
    return int(text.startswith("answer"))
