"""One entry of the log: a Parquet file whose `crucible` metadata says what it is.

| kind | body | means |
| --- | --- | --- |
| `rows` | rows with their calls | these trials ended so |
| `reopen` | trial numbers | earlier rows of these trials are void, the next one wins |
| `reset` | none | the log is again what it was after entry `reset` |
| `plan` | none | from here on this is the plan of analysis: `registration` |
| `ceiling` | none | at most `ceiling_usd` will have been spent before the next ceiling |
| `stop` | none | the driver ended in good order with `status`; all that was spent is known |
"""

from __future__ import annotations

import re

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import Struct
from numpy.typing import NDArray

from crucible_ray.errors import DamagedEntry
from crucible_ray.experiment.registering import Registration
from crucible_ray.journal.rows import ROW_SCHEMA, completed, is_complete

FORMAT = 1
_KEY = b"crucible"
_NAME = re.compile(r"checkpoint_(\d{6,})\.parquet")
_TRIALS: pa.Schema = pa.schema([("trial", pa.int64())])
_NOTHING: pa.Schema = pa.schema([("nothing", pa.bool_())])


class Head(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an entry says of itself, and the running totals as of it."""

    kind: str
    number: int
    writer: str
    """The driver that wrote it."""
    nonce: str
    """Of this one entry: after an unclear write it tells whose entry is there."""
    format: int = FORMAT
    rows: int = 0
    """Rows in the log so far, those after a reset's target left out."""
    marked: bool = False
    """Whether these rows crossed a multiple of `checkpoint_every`."""
    spent_usd: float = 0.0
    """All known spend of the experiment."""
    lost_usd: float = 0.0
    """How much of that is an estimate: ceilings that no driver lived to settle."""
    ceiling_usd: float | None = None
    """What may have been spent at most; None: `spent_usd` is all."""
    written_s: float | None = None
    """When, seconds since 1970 by the writer's clock: how old replies are that are reused later."""
    reset: int | None = None
    status: str | None = None
    registration: Registration | None = None
    """Of a `plan` entry."""

    @property
    def charged_usd(self) -> float:
        """What counts as spent if the log ends here."""
        return max(self.spent_usd, self.ceiling_usd or 0.0)


class Entry:
    """An entry that was read; its columns are decoded when asked for."""

    def __init__(self, head: Head, name: str, file: pq.ParquetFile) -> None:
        self.head = head
        self._name, self._file = name, file

    def table(self, columns: list[str] | None = None) -> pa.Table:
        """The body, or some columns of it. Raises DamagedEntry."""
        try:
            table = self._file.read(columns=columns, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise damaged(self._name, str(error)) from error
        if self.head.kind != "rows" or is_complete(self._file.schema_arrow):
            return table
        return completed(table, columns or ROW_SCHEMA.names)

    def trials(self) -> NDArray[np.int64]:
        """The trial numbers of a `rows` or `reopen` entry. Raises DamagedEntry."""
        return np.asarray(self.table(["trial"])["trial"].to_numpy(), np.int64)


def entry_name(number: int) -> str:
    """`checkpoint_000001.parquet`."""
    return f"checkpoint_{number:06d}.parquet"


def number_of(name: str) -> int | None:
    """The inverse of `entry_name`; None for anything else."""
    match = _NAME.fullmatch(name)
    if match is None or entry_name(int(match[1])) != name:
        return None
    return int(match[1])


def encode_entry(head: Head, tables: list[pa.Table]) -> bytes:
    """The bytes of an entry. `tables`: rows; or one of trials; or none."""
    table = pa.concat_tables(tables) if tables else _NOTHING.empty_table()
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=1,
        write_statistics=False,
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        writer.write_table(table)
        writer.add_key_value_metadata({_KEY: msgspec.json.encode(head)})
    return bytes(sink.getvalue())


def trial_table(trials: NDArray[np.int64]) -> pa.Table:
    """The body of a `reopen` entry."""
    return pa.table([pa.array(trials, pa.int64())], schema=_TRIALS)


def decode_entry(data: bytes, number: int, where: str) -> Entry:
    """Read an entry's head; its body waits until it is asked for. Raises DamagedEntry."""
    name = f"{where}/{entry_name(number)}"
    try:
        file = pq.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        said = (file.metadata.metadata or {}).get(_KEY)
        if said is None:
            raise damaged(name, "it is no entry of a journal")
        head = msgspec.json.decode(said, type=Head)
    except (pa.ArrowException, OSError, msgspec.MsgspecError) as error:
        raise damaged(name, str(error)) from error
    if head.format > FORMAT:
        raise DamagedEntry(name, f"written in format {head.format}", "Use a newer crucible-ray.")
    if head.number != number:
        raise damaged(name, f"it is entry {head.number} under another name")
    if head.kind == "rows" and not set(file.schema_arrow.names) <= set(ROW_SCHEMA.names):
        raise damaged(name, "its columns are not those of rows")
    return Entry(head, name, file)


def damaged(name: str, why: str) -> DamagedEntry:
    """A damaged entry, with the only mend that there is."""
    first_line = (why or "unreadable").strip().splitlines()[0]
    return DamagedEntry(name, first_line, "Move it out of the folder and resume: its trials run again.")
