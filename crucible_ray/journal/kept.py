"""The rows that count: in the order of the log, or sorted by trial on disk, in memory that does not grow."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from crucible_ray.journal.entries import Head, decode_entry
from crucible_ray.journal.rows import ROW_SCHEMA
from crucible_ray.journal.spill import BUCKETS, in_batches, sorted_on_disk
from crucible_ray.journal.state import JournalState
from crucible_ray.journal.store import BlockingLog
from crucible_ray.journal.trials import TrialSet

Ints = NDArray[np.int64]

BATCH = 8192
"""Rows that are handled at once."""


def kept_tables(
    log: BlockingLog, state: JournalState, columns: list[str] | None = None
) -> Iterator[pa.Table]:
    """The rows that count, entry by entry in the order of the log, all columns or some.

    `state` is what `read_state` said of this log. Raises DamagedEntry, StorageFailed.
    """
    return (table for _, table in kept_entries(log, state, columns))


def kept_entries(
    log: BlockingLog, state: JournalState, columns: list[str] | None = None
) -> Iterator[tuple[Head, pa.Table]]:
    """The same, each entry's rows with its head."""
    wanted = ROW_SCHEMA.names if columns is None else columns
    reopened = np.array(sorted(state.reopened), np.int64)
    reopeners = np.array([state.reopened[trial] for trial in reopened.tolist()], np.int64)
    kept = TrialSet()
    for number in state.live:
        entry = decode_entry(log.read_now(number), number, log.where)
        if entry.head.kind != "rows":
            continue
        table = entry.table(list(dict.fromkeys(["trial", *wanted])))
        trials = table["trial"].to_numpy()
        counts = np.flatnonzero(_reopened_at(trials, reopened, reopeners) < number)
        counts = counts[kept.add(trials[counts])]
        table = table.select(wanted)
        yield entry.head, table if len(counts) == len(trials) else table.take(pa.array(counts))


def kept_rows(
    log: BlockingLog, state: JournalState, *, scratch: Path, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows that count, sorted by trial, 8,192 at a time; `scratch` takes what memory cannot hold.

    `columns`: `trial` among them; None: all but the texts of prompts. Raises DamagedEntry, StorageFailed.
    """
    wanted = ROW_SCHEMA.names[:-1] if columns is None else columns
    schema = pa.schema([ROW_SCHEMA.field(name) for name in wanted])
    width = max(BATCH, -(-state.kept.bound // BUCKETS))

    def range_of(trials: pa.ChunkedArray) -> Ints:
        return np.asarray(trials.to_numpy() // width, np.int64)

    tables = sorted_on_disk(kept_tables(log, state, wanted), schema, "trial", range_of, scratch)
    return in_batches(tables, BATCH)


def prompt_texts(log: BlockingLog) -> Iterator[pa.Table]:
    """All prompts of the log with their texts, as columns `key` and `text`; a key may come more than once.

    Void entries too: a client sends a text once, with a row that need not be the one that counts.
    """
    for number in log.numbers_now():
        entry = decode_entry(log.read_now(number), number, log.where)
        if entry.head.kind == "rows":
            prompts = entry.table(["prompts"])["prompts"].combine_chunks().flatten()
            yield pa.table({"key": prompts.field("key"), "text": prompts.field("text")})


def _reopened_at(trials: Ints, reopened: Ints, by: Ints) -> Ints:
    """By which entry each trial was last reopened, 0: never. reopened: ascending trials; by: its entries."""
    if not len(reopened):
        return np.zeros(len(trials), np.int64)
    places = np.minimum(np.searchsorted(reopened, trials), len(reopened) - 1)
    return np.where(reopened[places] == trials, by[places], 0)
