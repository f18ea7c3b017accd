"""Question by question, out of `results.parquet`: those that tell conditions apart first, the rest counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Struct
from numpy.typing import NDArray

from crucible_ray.experiment.plan import Plan
from crucible_ray.stats.result import Floats

if TYPE_CHECKING:
    from collections.abc import Iterator

Ints = NDArray[np.int64]

SHOWN = 200
"""Questions in a report."""
_SERIES = 24
"""Points of a line over the run."""
_BATCH = 16_384
_COLUMNS = ["trial", "position", "correct", "latency_ms"]
_TEXTS = ["trial", "prediction", "correct", "votes", "error"]


class Answer(Struct, frozen=True, kw_only=True):
    """What one trial came to."""

    prediction: str | None
    correct: int | None
    votes: dict[str, int] | None
    error: str | None


class Question(Struct, frozen=True, kw_only=True):
    """One item under all conditions."""

    item: int
    """Its place in the dataset, from 0."""
    answers: tuple[tuple[Answer, ...], ...]
    """By condition, in the order of repeats."""


class Questions(Struct, frozen=True, kw_only=True):
    """What a report shows of single trials."""

    shown: tuple[Question, ...]
    total: int
    """Items with a row."""
    latencies: tuple[tuple[float, ...], ...]
    """By condition: the 5th, 25th, 50th, 75th and 95th percentile in ms; empty: no answer."""
    over_time: tuple[tuple[float | None, ...], ...]
    """By condition: accuracy in equal parts of the planned order; None where nothing was answered."""


def read_questions(path: Path, plan: Plan, shown: int = SHOWN) -> Questions:
    """Read `results.parquet` twice, batch by batch. Memory: some numbers an item, one a trial. Raises OSError."""
    conditions, width = len(plan.conditions), len(plan.conditions) * plan.repeats
    right, answered = (np.zeros((plan.items, conditions)) for _ in range(2))
    seen = np.zeros(plan.items, np.bool_)
    latency = np.full(plan.trials, np.nan)
    parts = np.zeros((conditions, _SERIES, 2))
    for batch in _batches(path, _COLUMNS):
        trial, correct = _numbers(batch["trial"]).astype(np.int64), _numbers(batch["correct"])
        known = ~np.isnan(correct)
        seen[trial // width] = True
        place = (trial[known] // width, trial[known] % conditions)
        np.add.at(answered, place, 1.0)
        np.add.at(right, place, correct[known])
        latency[trial] = _numbers(batch["latency_ms"])
        part = (_numbers(batch["position"])[known] * _SERIES // max(1, plan.trials)).astype(np.int64)
        np.add.at(parts, (place[1], part), np.column_stack([correct[known], np.ones(len(part))]))
    chosen = _most_telling(right, answered, np.flatnonzero(seen))[:shown]
    return Questions(
        shown=tuple(_with_answers(path, plan, chosen)),
        total=int(seen.sum()),
        latencies=tuple(_quantiles(latency[index::conditions]) for index in range(conditions)),
        over_time=tuple(
            tuple(float(r / n) if n else None for r, n in parts[index]) for index in range(conditions)
        ),
    )


def _most_telling(right_IC: Floats, answered_IC: Floats, seen: Ints) -> list[int]:
    """Items by how far conditions are apart, then by how often they are wrong, then in their order."""
    right, answered = right_IC[seen], answered_IC[seen]
    there = answered > 0
    share = np.divide(right, answered, out=np.zeros_like(right), where=there)
    apart = np.where(there, share, 0.0).max(axis=1) - np.where(there, share, 1.0).min(axis=1)
    wrong = (answered - right).sum(axis=1)
    order = np.lexsort((seen, -wrong, -apart))
    return [int(item) for item in seen[order]]


def _with_answers(path: Path, plan: Plan, chosen: Sequence[int]) -> Iterator[Question]:
    conditions, width = len(plan.conditions), len(plan.conditions) * plan.repeats
    wanted = pa.array(sorted(chosen), pa.int64())
    answers: dict[int, list[list[Answer]]] = defaultdict(lambda: [[] for _ in range(conditions)])
    for batch in _batches(path, _TEXTS) if len(wanted) else ():
        table = batch.filter(pc.is_in(pc.divide(batch["trial"], width), value_set=wanted))
        for row in table.to_pylist():
            answers[row["trial"] // width][row["trial"] % conditions].append(_answer(row))
    for item in chosen:
        yield Question(item=item, answers=tuple(tuple(each) for each in answers[item]))


def _answer(row: dict[str, Any]) -> Answer:
    votes = row["votes"]
    return Answer(
        prediction=row["prediction"],
        correct=row["correct"],
        votes=None if votes is None else msgspec.json.decode(votes, type=dict[str, int]),
        error=row["error"],
    )


def _batches(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(_BATCH, columns=columns)


def _numbers(column: pa.Array) -> Floats:
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _quantiles(latencies: Floats) -> tuple[float, ...]:
    present = latencies[~np.isnan(latencies)]
    if not len(present):
        return ()
    return tuple(float(each) for each in np.quantile(present, [0.05, 0.25, 0.5, 0.75, 0.95]))


def counted(answers: Sequence[Answer]) -> list[tuple[Answer, int]]:
    """Equal outcomes of repeats together, the commonest first."""
    first: dict[tuple[str | None, int | None, str | None], Answer] = {}
    times = Counter((each.prediction, each.correct, each.error) for each in answers)
    for each in answers:
        first.setdefault((each.prediction, each.correct, each.error), each)
    return [(first[key], count) for key, count in times.most_common()]
