"""From a dataset's name, path or list to its items."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from hashlib import sha256
from importlib.resources import files
from io import StringIO
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from crucible_ray.datasets.fields import check_fields, to_item
from crucible_ray.datasets.mmlu import STEM, read_mmlu
from crucible_ray.datasets.sampling import nested_sample
from crucible_ray.datasets.storing import checksum
from crucible_ray.errors import DatasetError
from crucible_ray.experiment.defaults import DATASET_NAMES
from crucible_ray.records import Item

Source = str | Path | Iterable[Mapping[str, Any] | Item] | None
_items = msgspec.json.Decoder(Item)
_Located = Iterator[tuple[Mapping[str, Any], str]]


class LoadedDataset(Struct, frozen=True, kw_only=True):
    """Items, and where they came from."""

    name: str
    """As the experiment names it; `inline` for a list, `none` for no dataset."""
    items: list[Item]
    """In the source's order."""
    version: str
    """`demo-1`, or `sha256:` and 16 hexadecimal digits of what was read, before sampling."""


def load_items(
    source: Source,
    *,
    base: Path,
    sample_size: int | None = None,
    seed: int = 0,
    fields: Mapping[str, str] | None = None,
    path: str | Path | None = None,
) -> LoadedDataset:
    """The items of a dataset.

    source: a shipped name (`demo`); `mmlu` or `mmlu_stem` with `path`, a local folder; a path to a JSONL, CSV
    or Parquet file, relative to `base`, the experiment's folder; a list of mappings or Items; None for one
    empty item. sample_size: how many to draw, nested; all where there are fewer. fields: a field of ours to
    the source's name. Raises DatasetError, naming file, line and mend.
    """
    names = check_fields(fields)
    if sample_size is not None and sample_size < 1:
        raise DatasetError(f"sample_size is {sample_size}; it must be at least 1, or absent for all items.")
    name, items, version = _load(source, base, names, path)
    _refuse_duplicates(items, name)
    if not items:
        raise DatasetError(f"The dataset {name} holds no items.")
    if sample_size is not None:
        items = nested_sample(items, sample_size, seed)
    return LoadedDataset(name=name, items=items, version=version)


def _load(
    source: Source, base: Path, fields: Mapping[str, str], path: str | Path | None
) -> tuple[str, list[Item], str]:
    if source is None:
        return "none", [Item(id="0", input="")], "none"
    if isinstance(source, str | Path):
        if source == "demo" and path is None:
            data = (files("crucible_ray.datasets") / "demo.jsonl").read_bytes()
            return "demo", _items.decode_lines(data), "demo-1"
        if source in ("mmlu", "mmlu_stem"):
            if path is None:
                raise DatasetError(
                    f"{source} is read from a local folder: Dataset({source!r}, path=FOLDER), "
                    "with one <subject>_test.csv per subject."
                )
            items = read_mmlu(base / path, STEM if source == "mmlu_stem" else None)
            return str(source), items, _version(checksum(items))
        return str(source), *_load_file(base / (path or source), str(source), fields)
    if isinstance(source, Mapping) or not isinstance(source, Iterable):
        raise DatasetError(
            f"dataset is a {type(source).__name__}; it must be a name, a path or a list of mappings. "
            'A table becomes one by table.to_pylist() (Arrow) or frame.to_dict("records") (pandas).'
        )
    items = [_inline(record, number, fields) for number, record in enumerate(source)]
    return "inline", items, _version(checksum(items))


def _inline(record: Any, number: int, fields: Mapping[str, str]) -> Item:
    if isinstance(record, Item):
        return record
    if isinstance(record, Mapping):
        return to_item(record, number, f"dataset, item {number}", fields)
    raise DatasetError(
        f"dataset, item {number}: it is a {type(record).__name__}; it must be a mapping such as "
        '{"input": "2 + 2?", "expected": "4"}.'
    )


def _load_file(path: Path, name: str, fields: Mapping[str, str]) -> tuple[list[Item], str]:
    read = _READERS.get(path.suffix.lower())
    if not path.is_file():
        raise DatasetError(_not_found(path, name, known=read is not None))
    if read is None:
        raise DatasetError(f"{path}: the file must end in {', '.join(_READERS)}.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror}.") from error
    items = [
        to_item(record, number, where, fields) for number, (record, where) in enumerate(read(data, path))
    ]
    return items, _version(sha256(data).hexdigest())


def _not_found(path: Path, name: str, *, known: bool) -> str:
    if known or "/" in name:
        return f"{path} does not exist. A dataset's path is relative to the experiment's file."
    near = get_close_matches(name, DATASET_NAMES, n=1)
    hint = (
        f"Did you mean {near[0]!r}?"
        if near
        else f"Use one of {', '.join(DATASET_NAMES)}, or the path of a file."
    )
    return f"There is no dataset {name!r}. {hint}"


def _refuse_duplicates(items: list[Item], name: str) -> None:
    seen: dict[str, int] = {}
    for number, item in enumerate(items):
        first = seen.setdefault(item.id, number)
        if first != number:
            raise DatasetError(
                f"{name}: items {first} and {number} (from 0) have the same id {item.id!r}. Ids must be "
                "unique; without an 'id' an item's id is its row number."
            )


def _version(digest: str) -> str:
    return f"sha256:{digest[:16]}"


def _decode(data: bytes, path: Path) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DatasetError(f"{path}, line {line}: this is not UTF-8. Save the file as UTF-8.") from error


def _jsonl(data: bytes, path: Path) -> _Located:
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


def _csv(data: bytes, path: Path) -> _Located:
    reader = csv.DictReader(StringIO(_decode(data, path), newline=""), strict=True)
    while True:
        try:
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


def _parquet(data: bytes, path: Path) -> _Located:
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
