"""Calls of unfinished trials that are paid for already; they travel to a client with the trials' grants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from crucible_ray.experiment.grid import Ints
from crucible_ray.journal.rows import ROW_SCHEMA, calls_column, rows_to_calls
from crucible_ray.records import Call
from crucible_ray.runtime.reading import unread

KNOWN_SCHEMA: pa.Schema = pa.schema([ROW_SCHEMA.field("trial"), ROW_SCHEMA.field("calls")])


def known_table(trials: list[int], calls: Sequence[Sequence[Call]]) -> pa.Table:
    """Calls by trial as KNOWN_SCHEMA has them."""
    return pa.table([pa.array(trials, pa.int64()), calls_column(calls)], schema=KNOWN_SCHEMA)


class Known:
    """Recorded calls by trial. The tables may lie on disk, memory-mapped: a grant takes only its own rows."""

    def __init__(self, *tables: pa.Table) -> None:
        """`tables`: of KNOWN_SCHEMA, each ascending by trial with each trial once."""
        self._tables: list[tuple[Ints, pa.Table]] = [(table["trial"].to_numpy(), table) for table in tables]

    def __add__(self, other: Known) -> Known:
        return Known(*(table for _, table in self._tables + other._tables))

    def of(self, trials: Ints) -> bytes:
        """The calls of those trials, as `Exchange.known` carries them; empty: there are none."""
        parts = []
        for numbers, table in self._tables:
            if len(numbers):
                places = np.minimum(np.searchsorted(numbers, trials), len(numbers) - 1)
                parts.append(table.take(pa.array(places[numbers[places] == trials])))
        if not sum(part.num_rows for part in parts):
            return b""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, KNOWN_SCHEMA) as stream:
            for part in parts:
                stream.write_table(part)
        return bytes(sink.getvalue())


def read_known(data: bytes) -> dict[int, list[Call]]:
    """What `Known.of` gave, by trial."""
    table = pa.ipc.open_stream(data).read_all()
    found: dict[int, list[Call]] = {}
    for trial, calls in zip(table["trial"].to_pylist(), rows_to_calls(table["calls"]), strict=True):
        found.setdefault(trial, []).extend(unread(calls))
    return found
