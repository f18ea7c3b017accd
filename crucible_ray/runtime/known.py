"""Calls of unfinished trials that are paid for already; they travel to a client with the trials' grants."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from crucible_ray.experiment.grid import Ints
from crucible_ray.journal.rows import ROW_SCHEMA, calls_column, rows_to_calls
from crucible_ray.records import Call

KNOWN_SCHEMA: pa.Schema = pa.schema([ROW_SCHEMA.field("trial"), ROW_SCHEMA.field("calls")])


def known_table(trials: list[int], calls: Sequence[Sequence[Call]]) -> pa.Table:
    """Calls by trial as KNOWN_SCHEMA has them."""
    return pa.table([pa.array(trials, pa.int64()), calls_column(calls)], schema=KNOWN_SCHEMA)


class Known:
    """Recorded calls by trial. The table may lie on disk, memory-mapped: a grant takes only its own rows."""

    def __init__(self, table: pa.Table) -> None:
        """`table`: of KNOWN_SCHEMA, ascending by trial, each trial once."""
        self._table = table
        self._trials: Ints = table["trial"].to_numpy()

    @property
    def count(self) -> int:
        """Trials with such calls."""
        return len(self._trials)

    def of(self, trials: Ints) -> bytes:
        """The calls of those trials, as `Exchange.known` carries them; empty: there are none."""
        if not self.count:
            return b""
        places = np.minimum(np.searchsorted(self._trials, trials), self.count - 1)
        found = places[self._trials[places] == trials]
        if not len(found):
            return b""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, KNOWN_SCHEMA) as stream:
            stream.write_table(self._table.take(pa.array(found)))
        return bytes(sink.getvalue())


def read_known(data: bytes) -> dict[int, list[Call]]:
    """What `Known.of` gave, by trial."""
    table = pa.ipc.open_stream(data).read_all()
    return dict(zip(table["trial"].to_pylist(), map(list, rows_to_calls(table["calls"])), strict=True))
