"""Rows and their calls as Arrow columns: what a client reports, what an entry of the journal holds.

A row is nested: its calls travel in it, and the text of a prompt travels in the first row of a client that
uses it. Times are integer microseconds, money is US dollars as double.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec.structs import astuple

from crucible_ray.records import Call, Row

_TEXT, _INT, _SMALL, _MONEY = pa.string(), pa.int64(), pa.int32(), pa.float64()

CALL_FIELDS: dict[str, pa.DataType] = {
    "call": _SMALL,
    "attempt": _SMALL,
    "model": _TEXT,
    "request": _TEXT,
    "prompt": _TEXT,
    "started_us": _INT,
    "ended_us": _INT,
    "outcome": _TEXT,
    "status": _SMALL,
    "detail": _TEXT,
    "text": _TEXT,
    "finish_reason": _TEXT,
    "model_version": _TEXT,
    "input_tokens": _INT,
    "output_tokens": _INT,
    "reasoning_tokens": _INT,
    "cached_tokens": _INT,
    "confidence": pa.float64(),
    "cost_usd": _MONEY,
    "cost_estimated": pa.bool_(),
    "quota_wait_us": _INT,
    "backoff_wait_us": _INT,
    "reused_from": _TEXT,
    "reused_age_s": _MONEY,
    "shared_from": _INT,
    "read": _TEXT,
}
"""In the order of the struct `records.Call`."""
_ROW_FIELDS: dict[str, pa.DataType] = {
    "trial": _INT,
    "error": _TEXT,
    "prediction": _TEXT,
    "correct": _SMALL,
    "latency_us": _INT,
    "cost_usd": _MONEY,
    "input_tokens": _INT,
    "output_tokens": _INT,
    "reasoning_tokens": _INT,
    "finish_reason": _TEXT,
    "retries": _SMALL,
    "hedges": _SMALL,
    "hedge_wins": _SMALL,
    "unsent": _SMALL,
    "saved_usd": _MONEY,
    "consensus": _MONEY,
    "returned": _TEXT,
    "votes": _TEXT,
}
"""In the order of the struct `records.Row`, its calls left out."""
_COUNTED = frozenset({"hedges", "hedge_wins", "unsent", "saved_usd"})
_PROMPT_FIELDS: dict[str, pa.DataType] = {"key": _TEXT, "text": _TEXT}


def _list_of(fields: dict[str, pa.DataType]) -> pa.DataType:
    # Parquet calls the items of a list `element`: with this name the schema survives the way through a file.
    return pa.list_(pa.field("element", pa.struct(list(fields.items()))))


ROW_SCHEMA: pa.Schema = pa.schema(
    [*_ROW_FIELDS.items(), ("calls", _list_of(CALL_FIELDS)), ("prompts", _list_of(_PROMPT_FIELDS))]
)


def is_complete(schema: pa.Schema) -> bool:
    """Whether rows have today's columns: those of an earlier version lack what came later."""
    return bool(
        schema.names == ROW_SCHEMA.names and schema.field("calls").type == ROW_SCHEMA.field("calls").type
    )


def completed(table: pa.Table, columns: list[str]) -> pa.Table:
    """Rows of an earlier version with today's columns: what it did not know of is zero, or null where zero says something."""
    return pa.table(
        [_completed(table, name) for name in columns],
        schema=pa.schema([ROW_SCHEMA.field(n) for n in columns]),
    )


def _completed(table: pa.Table, name: str) -> pa.ChunkedArray | pa.Array:
    kind = ROW_SCHEMA.field(name).type
    if name not in table.column_names:
        return pa.repeat(pa.scalar(0 if name in _COUNTED else None, kind), table.num_rows)
    column = table[name]
    if name != "calls" or column.type == kind:
        return column.cast(kind)
    lists = column.combine_chunks()
    flat = lists.flatten()
    present = {field.name for field in flat.type}
    arrays = [
        flat.field(each).cast(t) if each in present else pa.nulls(len(flat), t)
        for each, t in CALL_FIELDS.items()
    ]
    items = pa.StructArray.from_arrays(arrays, fields=[pa.field(*field) for field in CALL_FIELDS.items()])
    offsets = pc.subtract(lists.offsets, lists.offsets[0])
    return pa.ListArray.from_arrays(offsets, items, type=kind)


class RowBuffer:
    """Finished rows on their way out of a client; turned into columns all at once, when they leave."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._prompts: list[Sequence[tuple[str, str]]] = []

    @property
    def count(self) -> int:
        """Rows held."""
        return len(self._rows)

    def append(self, row: Row, prompts: Sequence[tuple[str, str]] = ()) -> None:
        """Hold a row; `prompts` are the keys and texts of prompts that no earlier row brought."""
        self._rows.append(row)
        self._prompts.append(prompts)

    def take(self) -> bytes:
        """All rows held, as one Arrow IPC stream, or empty bytes for none; the buffer is empty then."""
        if not self._rows:
            return b""
        batch = _batch(self._rows, self._prompts)
        self._rows, self._prompts = [], []
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, ROW_SCHEMA) as writer:
            writer.write_batch(batch)
        return bytes(sink.getvalue())


def warm_up() -> None:
    """Make the first array: pyarrow then imports pandas, a third of a second in which nothing else should wait."""
    pa.array([None])


def read_rows(data: bytes) -> pa.Table:
    """The rows of one `RowBuffer.take`."""
    if not data:
        return ROW_SCHEMA.empty_table()
    return pa.ipc.open_stream(data).read_all()


def rows_to_records(table: pa.Table | pa.RecordBatch) -> Iterator[Row]:
    """Rows as structs again, in the table's order; for a replay."""
    for values in table.select(ROW_SCHEMA.names[:-1]).to_pylist():
        votes = values["votes"]
        values["votes"] = msgspec.json.decode(votes, type=dict[str, int]) if votes is not None else None
        values["calls"] = tuple(Call(**call) for call in values["calls"])
        yield Row(**values)


def calls_column(groups: Sequence[Sequence[Call]]) -> pa.Array:
    """Structs as the column `calls`, one group for each row."""
    return _nested([[astuple(call) for call in group] for group in groups], CALL_FIELDS)


def rows_to_calls(calls: pa.ChunkedArray | pa.Array) -> Iterator[tuple[Call, ...]]:
    """The column `calls` as structs again."""
    for values in calls.to_pylist():
        yield tuple(Call(**call) for call in values)


def _batch(rows: list[Row], prompts: list[Sequence[tuple[str, str]]]) -> pa.RecordBatch:
    *plain, votes, calls = zip(*map(astuple, rows), strict=True)
    plain.append(tuple(None if v is None else msgspec.json.encode(v).decode() for v in votes))
    columns = [_column(c, t) for c, t in zip(plain, _ROW_FIELDS.values(), strict=True)]
    columns.append(_nested([[astuple(call) for call in cs] for cs in calls], CALL_FIELDS))
    columns.append(_nested(prompts, _PROMPT_FIELDS))
    return pa.RecordBatch.from_arrays(columns, schema=ROW_SCHEMA)


def _nested(groups: list[Any], fields: dict[str, pa.DataType]) -> pa.Array:
    """A list column of structs out of each row's tuples."""
    offsets = [0]
    flat: list[tuple[Any, ...]] = []
    for group in groups:
        flat.extend(group)
        offsets.append(len(flat))
    columns = zip(*flat, strict=True) if flat else ((),) * len(fields)
    arrays = [_column(c, t) for c, t in zip(columns, fields.values(), strict=True)]
    items = pa.StructArray.from_arrays(arrays, fields=[pa.field(*field) for field in fields.items()])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type=_list_of(fields))


def _column(values: tuple[Any, ...], kind: pa.DataType) -> pa.Array:
    if values.count(None) == len(values):
        return pa.nulls(len(values), kind)
    try:
        return pa.array(values, kind)
    except UnicodeEncodeError:
        # Half a surrogate pair is no character: a reply that was cut there still gets its row.
        return pa.array([v if v is None else v.encode("utf-8", "replace").decode() for v in values], kind)
