"""What an earlier session asked for blocks that are half done: their other conditions share it (`share_replies`)."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np
import pyarrow as pa
from msgspec.structs import replace

from crucible_ray.experiment.plan import Plan
from crucible_ray.journal.kept import kept_rows
from crucible_ray.journal.rows import rows_to_calls
from crucible_ray.journal.state import JournalState
from crucible_ray.journal.store import BlockingLog
from crucible_ray.records import Call
from crucible_ray.runtime.known import KNOWN_SCHEMA, Known, known_table


def shared_before(plan: Plan, log: BlockingLog, state: JournalState, scratch: Path) -> Known:
    """By pending trial, the replies that its block's other conditions have. Raises DamagedEntry, StorageFailed."""
    path = scratch / "shared.arrow"
    with pa.ipc.new_file(str(path), KNOWN_SCHEMA) as writer:
        rows = kept_rows(log, state, scratch=scratch, columns=["trial", "calls"])
        for trials, calls in _pending(plan, state, rows):
            writer.write_table(known_table(trials, calls))
    return Known(pa.ipc.open_file(pa.memory_map(str(path))).read_all())


def _pending(
    plan: Plan, state: JournalState, rows: Iterator[pa.RecordBatch]
) -> Iterator[tuple[list[int], list[list[Call]]]]:
    width = len(plan.conditions)
    for block, found in groupby(_half_done(plan, state, rows), key=lambda row: row[0] // width):
        answered = [call for trial, calls in found for call in _replies(trial, calls)]
        siblings = np.arange(block * width, (block + 1) * width, dtype=np.int64)
        left = siblings[~state.kept.contains(siblings)].tolist()
        if left and answered:
            yield left, [answered] * len(left)


def _half_done(
    plan: Plan, state: JournalState, rows: Iterator[pa.RecordBatch]
) -> Iterator[tuple[int, tuple[Call, ...]]]:
    """The rows of blocks of which some trial is pending, ascending."""
    width = len(plan.conditions)
    for batch in rows:
        trials = batch["trial"].to_numpy()
        siblings = (trials // width)[:, None] * width + np.arange(width, dtype=np.int64)
        whole = state.kept.contains(siblings.ravel()).reshape(siblings.shape).all(axis=1)
        places = np.flatnonzero(~whole)
        calls = rows_to_calls(batch["calls"].take(pa.array(places)))
        yield from zip(trials[places].tolist(), calls, strict=True)


def _replies(trial: int, calls: tuple[Call, ...]) -> list[Call]:
    """The calls of a row that brought a reply and that the trial sent itself, with all their attempts."""
    found = []
    for _, attempts in groupby(calls, key=lambda call: call.call):
        chain = list(attempts)
        if chain[-1].outcome == "ok" and chain[-1].shared_from is None:
            found += [replace(call, shared_from=trial) for call in chain]
    return found
