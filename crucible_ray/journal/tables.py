"""`results.csv`, `results.parquet`, `calls.parquet` and `prompts.parquet`: made in one pass over sorted rows.

The bytes depend on the rows that count alone: not on how they lay in the log, nor on who wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from crucible_ray.experiment.plan import Plan
from crucible_ray.journal import cells
from crucible_ray.journal.kept import BATCH, kept_rows, prompt_texts
from crucible_ray.journal.rows import CALL_FIELDS
from crucible_ray.journal.spill import in_batches, sorted_on_disk
from crucible_ray.journal.state import JournalState
from crucible_ray.journal.store import BlockingLog
from crucible_ray.metrics.own import COLUMNS as OWN_COLUMNS
from crucible_ray.records import Item

Ints = NDArray[np.int64]

RESULTS: pa.Schema = pa.schema(
    [
        ("trial", pa.int64()),
        ("condition", pa.string()),
        ("item_id", pa.string()),
        ("repeat", pa.int64()),
        ("position", pa.int64()),
        ("prediction", pa.string()),
        ("expected", pa.string()),
        ("correct", pa.int32()),
        ("latency_ms", pa.float64()),
        ("cost_usd", pa.float64()),
        ("input_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
        ("reasoning_tokens", pa.int64()),
        ("finish_reason", pa.string()),
        ("calls", pa.int32()),
        ("retries", pa.int32()),
        ("hedges", pa.int32()),
        ("hedge_wins", pa.int32()),
        ("consensus", pa.float64()),
        ("votes", pa.string()),
        ("error", pa.string()),
    ]
)
_TIMES = {"started_us", "ended_us", "quota_wait_us", "backoff_wait_us"}
CALLS: pa.Schema = pa.schema(
    [
        *[(name, RESULTS.field(name).type) for name in ("trial", "condition", "item_id", "repeat")],
        *[
            (name[:-3] + "_ms", pa.float64()) if name in _TIMES else (name, t)
            for name, t in CALL_FIELDS.items()
        ],
        ("latency_ms", pa.float64()),
    ]
)
PROMPTS: pa.Schema = pa.schema([("prompt", pa.string()), ("messages", pa.string())])
_FOUND: pa.Schema = pa.schema([("key", pa.string()), ("text", pa.string())])
_BREAKS = np.array([f"{byte:02x}" for byte in range(1, 256)], "S2")


class Grid:
    """What is known of a trial by its number alone."""

    def __init__(self, plan: Plan, items: Sequence[Item], positions: Callable[[Ints], Ints]) -> None:
        """`positions`: the planned seeded ranks of trials, shapes [n] and [n]."""
        self._repeats = plan.repeats
        self._names = pa.array([condition.name for condition in plan.conditions], pa.string())
        self._ids = pa.array([item.id for item in items], pa.string())
        self._expected = pa.array([item.expected for item in items], pa.string())
        self._positions = positions

    def columns(self, trials: Ints) -> dict[str, pa.Array]:
        """`trial, condition, item_id, repeat, position, expected`, one value for each of `trials`."""
        block, condition = np.divmod(trials, len(self._names))
        item, repeat = np.divmod(block, self._repeats)
        return {
            "trial": pa.array(trials),
            "condition": self._names.take(pa.array(condition)),
            "item_id": self._ids.take(pa.array(item)),
            "repeat": pa.array(repeat),
            "position": pa.array(self._positions(trials)),
            "expected": self._expected.take(pa.array(item)),
        }


class OwnColumns(Protocol):
    """What an author's own metrics say of rows, as columns after `correct`."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns."""
        ...

    def columns(self, rows: Iterable[Mapping[str, Any]]) -> dict[str, list[float | None]]:
        """One value a row and column. Raises SpecError where a metric fails."""
        ...


def results_schema(own: Sequence[str] = ()) -> pa.Schema:
    """The columns of `results.csv`, in order. own: of an author's own metrics."""
    after = RESULTS.get_field_index("correct") + 1
    fields = list(RESULTS)
    return pa.schema([*fields[:after], *((name, pa.float64()) for name in own), *fields[after:]])


def write_tables(
    folder: Path,
    *,
    grid: Grid,
    log: BlockingLog,
    state: JournalState,
    scratch: Path,
    own: OwnColumns | None = None,
) -> dict[str, list[str]]:
    """Write the four files into `folder`; returns by model the versions that its provider reported.

    Raises DamagedEntry, StorageFailed, OSError; SpecError where an author's own metric fails.
    """
    versions: dict[str, set[str]] = {}
    schema = results_schema(own.names if own is not None else ())
    with ExitStack() as stack:
        results = stack.enter_context(_parquet(folder / "results.parquet", schema))
        calls = stack.enter_context(_parquet(folder / "calls.parquet", CALLS))
        csv = stack.enter_context((folder / "results.csv").open("wb"))
        csv.write((",".join(schema.names) + "\n").encode())
        for batch in kept_rows(log, state, scratch=scratch):
            known = grid.columns(batch["trial"].to_numpy())
            table = _results(batch, known | _own(own, batch), schema)
            csv.write(cells.lines(_cells(table, batch)))
            results.write_batch(table)
            made = _calls(batch, known)
            calls.write_batch(made)
            _note_versions(versions, made)
    _write_prompts(folder, log, scratch)
    return {model: sorted(found) for model, found in sorted(versions.items())}


def _parquet(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    return pq.ParquetWriter(path, schema, compression="zstd")


def _own(own: OwnColumns | None, batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """The columns of an author's own metrics."""
    if own is None or not own.names:
        return {}
    rows = batch.select(OWN_COLUMNS).to_pylist()
    return {name: pa.array(values, pa.float64()) for name, values in own.columns(rows).items()}


def _results(batch: pa.RecordBatch, known: dict[str, pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    made = {
        "latency_ms": _ms(batch["latency_us"]),
        "cost_usd": _usd(batch["cost_usd"]),
        "calls": pc.list_value_length(batch["calls"]),
    }
    columns = [made.get(name, known.get(name)) for name in schema.names]
    return pa.RecordBatch.from_arrays(
        [batch[n] if c is None else c for n, c in zip(schema.names, columns, strict=True)], schema=schema
    )


def _cells(table: pa.RecordBatch, batch: pa.RecordBatch) -> list[pa.Array]:
    write: dict[pa.DataType, Callable[[pa.Array], pa.Array]] = {
        pa.string(): cells.texts,
        pa.float64(): cells.floats,
        pa.int64(): cells.integers,
        pa.int32(): cells.integers,
    }
    made = {"latency_ms": cells.milliseconds(batch["latency_us"])}
    return [made[f.name] if f.name in made else write[f.type](table[f.name]) for f in table.schema]


def _calls(batch: pa.RecordBatch, known: dict[str, pa.Array]) -> pa.RecordBatch:
    lists = batch["calls"]
    flat = lists.flatten()
    parents = pc.list_parent_indices(lists)
    made: dict[str, Any] = {name: flat.field(name) for name in CALL_FIELDS}
    made["latency_ms"] = _ms(pc.subtract(made["ended_us"], made["started_us"]))
    made["cost_usd"] = _usd(made["cost_usd"])
    for name in _TIMES:
        made[name[:-3] + "_ms"] = _ms(made[name])
    for name in ("trial", "condition", "item_id", "repeat"):
        made[name] = known[name].take(parents)
    return pa.RecordBatch.from_arrays([made[name] for name in CALLS.names], schema=CALLS)


def _ms(column_us: pa.Array) -> pa.Array:
    return pc.divide(pc.cast(column_us, pa.float64()), 1000.0)


def _usd(column: pa.Array) -> pa.Array:
    """To 12 decimals: sums of prices carry noise behind that."""
    return pa.array([None if usd is None else round(usd, 12) for usd in column.to_pylist()], pa.float64())


def _note_versions(versions: dict[str, set[str]], calls: pa.RecordBatch) -> None:
    pairs = pa.Table.from_batches([calls.select(["model", "model_version"])])
    for pair in pairs.group_by(["model", "model_version"]).aggregate([]).to_pylist():
        if pair["model_version"] is not None:
            versions.setdefault(pair["model"], set()).add(pair["model_version"])


def _write_prompts(folder: Path, log: BlockingLog, scratch: Path) -> None:
    """Each prompt of a call that counts, once, by key."""
    found = chain(_used_prompts(folder / "calls.parquet"), prompt_texts(log))
    tables = sorted_on_disk(found, _FOUND, "key", _range_of, scratch)
    with _parquet(folder / "prompts.parquet", PROMPTS) as prompts:
        for batch in in_batches(map(_used_once, tables), BATCH):
            prompts.write_batch(batch)


def _used_prompts(calls: Path) -> Iterator[pa.Table]:
    """The keys that calls refer to, without a text."""
    with pq.ParquetFile(calls) as file:
        for batch in file.iter_batches(BATCH, columns=["prompt"]):
            keys = pc.unique(batch["prompt"])
            yield pa.table([keys, pa.nulls(len(keys), pa.string())], schema=_FOUND)


def _range_of(keys: pa.ChunkedArray) -> Ints:
    """Hexadecimal keys by their first byte."""
    found = np.searchsorted(_BREAKS, keys.to_numpy().astype("S2"), side="right")
    return np.asarray(found, np.int64)


def _used_once(found: pa.Table) -> pa.Table:
    """Of keys and texts, sorted by key, the first text of each key that stands without one too."""
    wanted = pc.is_null(found["text"])
    used = pc.unique(found["key"].filter(wanted))
    texts = found.filter(pc.and_(pc.invert(wanted), pc.is_in(found["key"], value_set=used)))
    keys = texts["key"].to_numpy()
    first = np.append(True, keys[1:] != keys[:-1])[: len(keys)]
    return texts.filter(pa.array(first)).rename_columns(PROMPTS.names)
