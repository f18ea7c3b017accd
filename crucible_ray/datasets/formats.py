"""Files as records: JSONL, CSV and Parquet, each record with the place that an error names."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec

from crucible_ray.datasets.tables import refuse_twice
from crucible_ray.errors import DatasetError

Located = Iterator[tuple[Mapping[str, Any], str]]


def read_bytes(path: Path) -> bytes:
    """The content of a file. Raises DatasetError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error


def records(data: bytes, path: Path) -> Located:
    """The records of a file by its ending, one of `ENDINGS`. Raises DatasetError, naming file and line."""
    return _READERS[path.suffix.lower()](data, path)


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DatasetError(f"{path}, line {line}: this is not UTF-8. Save the file as UTF-8.") from error


def _jsonl(data: bytes, path: Path) -> Located:
    for number, line in enumerate(_decode(data, path).split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            record = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            raise DatasetError(
                f"{where}: this is not JSON ({error}). A .jsonl file holds one object a line."
            ) from error
        if not isinstance(record, dict):
            raise DatasetError(f"{where}: a line must be a JSON object with at least 'input'.")
        yield record, where


def _csv(data: bytes, path: Path) -> Located:
    reader = csv.DictReader(StringIO(_decode(data, path), newline=""), strict=True)
    while True:
        try:
            _refuse_separators(reader.fieldnames or (), f"{path}, line 1")
            refuse_twice(reader.fieldnames or (), f"{path}, line 1")
            record = next(reader, None)
        except csv.Error as error:
            raise DatasetError(
                f"{path}, line {reader.line_num + 1}: {error}. Mend the quoting, or use JSONL for long texts."
            ) from error
        if record is None:
            return
        where = f"{path}, line {reader.line_num}"
        if None in record or None in record.values():
            count = len(reader.fieldnames or ())
            raise DatasetError(
                f"{where}: the header has {count} fields, this row has not. Quote texts with commas."
            )
        # An empty cell says nothing.
        yield {key: value or None for key, value in record.items()}, where


def _refuse_separators(header: Sequence[str], where: str) -> None:
    """One field that holds several names was meant for another separator. Raises DatasetError."""
    found = next((each for each in (";", "\t") if len(header) == 1 and each in header[0]), None)
    if found is not None:
        raise DatasetError(
            f"{where}: the fields are separated by {found!r}; a .csv is read with commas. Save it with commas, or read it "
            f"yourself: Dataset(pandas.read_csv(FILE, sep={found!r}))."
        )


def _parquet(data: bytes, path: Path) -> Located:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(data))
    except pa.ArrowException as error:
        raise DatasetError(f"{path} is not a readable Parquet file: {error}.") from error
    row = 0
    for batch in table.to_batches():
        for record in batch.to_pylist():
            yield record, f"{path}, row {row}"
            row += 1


_READERS = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
ENDINGS = tuple(_READERS)
