"""CSV, TSV and Parquet files: the columns that are asked for, batch by batch, all others unread."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from crucible_ray.errors import UsageError
from crucible_ray.importing.log import LABELS, Asked, Encoder, Floats, Labels, Log, constant, listed
from crucible_ray.settings import did_you_mean

if TYPE_CHECKING:
    import pyarrow as pa

_MOST_EXACT: Final = 2**53
"""From here on not every integer is a float."""
ENDINGS: Final = (".csv", ".tsv", ".parquet")
_OURS: Final = {"trial", "condition", "item_id", "repeat", "position", "correct", "latency_ms", "error"}
"""Columns by which a table of our own is known."""
_MISSING: Final = ("", "na", "n/a", "nan", "null", "none", "-")
_TRUE, _FALSE = ("true", "yes"), ("false", "no")


def read(path: Path, asked: Asked) -> Log:
    """A table as a log; a table of ours needs no column named. Raises UsageError."""
    names = column_names(path)
    if set(names) >= _OURS and asked.value is None and asked.by is None:
        own = asked._replace(value="correct", by="condition", pair="item_id", repeat="repeat")
        return read_columns(path, names, own, {"accuracy": "correct"}, tool="crucible-ray")
    if asked.value is None:
        raise UsageError(
            f"{path.name}: which column holds the outcome? Name it with --value, and the one with the conditions "
            f"with --by. Its columns: {listed(names)}."
        )
    metric = asked.metric or asked.value
    return read_columns(path, names, asked, {metric: asked.value}, tool=path.suffix[1:].upper())


def read_columns(path: Path, names: list[str], asked: Asked, metrics: Mapping[str, str], *, tool: str) -> Log:
    """The columns of `metrics` (by score) and those that `asked` names. Raises UsageError."""
    labels = {
        "condition": asked.by,
        "item": asked.pair,
        "repeat": asked.repeat,
        "cluster": asked.cluster,
        "stratum": asked.strata,
    }
    wanted = [name for name in (*labels.values(), *metrics.values()) if name is not None]
    _check(path, names, wanted)
    encoders = {label: Encoder() for label, name in labels.items() if name is not None}
    values = {metric: array("d") for metric in metrics}
    row = 0
    for batch in _batches(path, list(dict.fromkeys(wanted))):
        for label, encoder in encoders.items():
            _encode(encoder, batch.column(labels[label]), path, str(labels[label]), row)
        for metric, name in metrics.items():
            values[metric].frombytes(_numbers(batch.column(name), path, name, row).tobytes())
        row += batch.num_rows
    if row == 0:
        raise UsageError(f"{path.name} has a header and no row.")
    found: dict[str, Labels] = {label: encoder.labels() for label, encoder in encoders.items()}
    found = {name: found.get(name) or constant("", row) for name in LABELS}
    if asked.by is None:
        found["condition"] = constant(path.stem, row)
    return Log(
        name=path.name,
        tool=tool,
        labels=found,
        values={metric: np.frombuffer(column, np.float64) for metric, column in values.items()},
        table=True,
        items=asked.pair is not None,
        repeats=asked.repeat is not None,
    )


def column_names(path: Path) -> list[str]:
    """The names of a table's columns. Raises UsageError."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".parquet":
            return [str(name) for name in pq.read_schema(path).names]
        with _csv(path, None) as reader:
            return [str(name) for name in reader.schema.names]
    except pa.ArrowException as error:
        raise _unreadable(path, error) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error


def _check(path: Path, names: list[str], wanted: list[str]) -> None:
    """Every column that is asked for stands there once. Raises UsageError, all faults at once."""
    problems = [
        f"{path.name} has no column {name!r}: {did_you_mean(name, names)}"
        for name in dict.fromkeys(wanted)
        if name not in names
    ]
    problems += [
        f"{path.name} has {names.count(name)} columns {name!r}: rename all but one."
        for name in dict.fromkeys(wanted)
        if names.count(name) > 1
    ]
    if problems and len(names) == 1 and ";" in names[0]:
        problems.append("Its fields are parted by semicolons: save it with commas, or as .tsv with tabs.")
    if problems:
        raise UsageError("\n".join(problems))


def _csv(path: Path, wanted: list[str] | None) -> Any:
    import pyarrow as pa
    from pyarrow import csv

    tabs = path.suffix.lower() == ".tsv"
    types = dict.fromkeys(wanted or (), pa.string())
    return csv.open_csv(
        path,
        read_options=csv.ReadOptions(use_threads=False),
        parse_options=csv.ParseOptions(delimiter="\t" if tabs else ",", newlines_in_values=True),
        # Names as they stand: a model may be called "NA", an item "007".
        convert_options=csv.ConvertOptions(include_columns=wanted, column_types=types),
    )


def _batches(path: Path, wanted: list[str]) -> Iterator[pa.RecordBatch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        if path.suffix.lower() == ".parquet":
            with pq.ParquetFile(path) as file:
                yield from file.iter_batches(columns=wanted)
        else:
            with _csv(path, wanted) as reader:
                yield from reader
    except pa.ArrowException as error:
        raise _unreadable(path, error) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error


def _unreadable(path: Path, error: Exception) -> UsageError:
    kind = "Parquet" if path.suffix.lower() == ".parquet" else "UTF-8 CSV"
    return UsageError(f"{path.name} is not a readable {kind} file: {str(error).splitlines()[0]}.")


def _encode(encoder: Encoder, column: pa.Array, path: Path, name: str, before: int) -> None:
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        text = column.cast(pa.string())
    except pa.ArrowException as error:
        raise UsageError(f"{path.name}: column {name!r} holds {column.type}, which names nothing.") from error
    empty = pc.or_kleene(pc.is_null(text), pc.equal(text, ""))
    if pc.any(empty).as_py():
        row = before + pc.index(empty.cast(pa.int8()), 1).as_py() + 1
        raise UsageError(f"{path.name}, row {row}: {name!r} is empty: name it, or take the row out.")
    coded = text.dictionary_encode()
    encoder.extend(coded.dictionary.to_pylist(), coded.indices.to_numpy(zero_copy_only=False))


def _numbers(column: pa.Array, path: Path, name: str, before: int) -> Floats:
    """Numbers, true and false as 1 and 0, NaN where nothing is said. Raises UsageError, naming the row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_lower(pc.utf8_trim_whitespace(column.cast(pa.string())))
        for words, number in ((_MISSING, None), (_TRUE, "1"), (_FALSE, "0")):
            same = pc.is_in(text, value_set=pa.array(words))
            text = pc.if_else(same, pa.scalar(number, pa.string()), text)
        long = pc.match_substring_regex(text, r"^-?\d{16,}$")
        try:
            column = text.cast(pa.float64())
        except pa.ArrowException:
            row, cell = _first_wrong(text.to_pylist())
            raise UsageError(
                f"{path.name}, row {before + row + 1}: {name!r} is {cell!r}, which is no number. "
                "--value takes numbers, true and false; write scores as 1 and 0, and leave missing ones empty."
            ) from None
    else:
        long = pa.scalar(pa.types.is_integer(column.type))
    try:
        numbers = column.cast(pa.float64(), safe=False)
    except pa.ArrowException as error:
        raise UsageError(
            f"{path.name}: column {name!r} holds {column.type}: --value takes numbers, true and false."
        ) from error
    if pc.any(pc.and_(long, pc.greater(pc.abs(numbers), _MOST_EXACT))).as_py():
        raise UsageError(
            f"{path.name}: column {name!r} holds integers above 2^53, whose last digits get lost: "
            "subtract a constant, or take a larger unit."
        )
    return np.asarray(numbers.to_numpy(zero_copy_only=False), np.float64)


def _first_wrong(cells: list[str | None]) -> tuple[int, str]:
    for row, cell in enumerate(cells):
        try:
            float(cell or 0)
        except ValueError:
            return row, str(cell)
    return 0, str(cells[0])
