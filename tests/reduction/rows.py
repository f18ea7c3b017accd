"""Plans and tables of rows, built by hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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


def model(name: str, *, price: float | None = 1.0, limit: float | None = None) -> ModelRef:
    """A model at a loopback address."""
    return ModelRef(
        name=name,
        provider="openai",
        model=f"{name}-2024",
        base_url="http://127.0.0.1:1/v1",
        limit_group=name,
        limits=Limits(requests_per_minute=limit),
        input_price=price,
        output_price=price,
    )


def condition(name: str, models: Sequence[ModelRef], *, max_tokens: int | None = 100) -> ConditionPlan:
    """One model, or a majority vote of several."""
    return ConditionPlan(
        name=name,
        kind="model" if len(models) == 1 else "ensemble",
        calls=tuple(
            CallPlan(model=each, max_tokens=max_tokens, timeout_s=60, attempt_timeout_s=30) for each in models
        ),
        prompt=PromptPlan(template="{{ input }}"),
        parse="choice",
        vote=None if len(models) == 1 else "majority",
    )


def hypothesis(
    text: str, *, margin: float = 0.0, relation: str = "superiority", **how: str
) -> HypothesisPlan:
    """About `ensemble` and `single` unless said otherwise."""
    names = {"metric": "accuracy", "a": "ensemble", "b": "single"} | how
    return HypothesisPlan(text=text, relation=relation, margin=margin, **names)


def plan(items: int, repeats: int = 1, **how: Any) -> Plan:
    """A single model against an ensemble of three."""
    defaults: dict[str, Any] = {
        "name": "Voting",
        "metrics": ("accuracy", "latency_p50", "latency_p95", "cost_per_query"),
        "conditions": (
            condition("single", [model("m1")]),
            condition("ensemble", [model("m0"), model("m1"), model("m2")]),
        ),
        "analysis": AnalysisPlan(),
    }
    return Plan(
        experiment_id="exp_0123456789ab",
        dataset="items.jsonl",
        dataset_checksum="0" * 64,
        items=items,
        repeats=repeats,
        **(defaults | how),
    )


def row(trial: int, correct: int | None = 1, error: str | None = None, **how: Any) -> dict[str, Any]:
    """One row of the journal; a failed one has no score."""
    defaults = {"latency_us": 1_000_000, "cost_usd": 0.001, "prediction": "A", "consensus": None, "calls": []}
    failed = error is not None and error != "parse_failed"
    scores = {"prediction": None, "latency_us": None} if failed else {}
    return {
        "trial": trial,
        "correct": None if failed else correct,
        "error": error,
        **defaults,
        **scores,
        **how,
    }


def batches(rows: Sequence[dict[str, Any]], size: int = 100) -> list[pa.RecordBatch]:
    """Rows as Arrow batches."""
    table = pa.Table.from_pylist(list(rows), schema=ROW_SCHEMA)
    return list(table.to_batches(max_chunksize=size))
