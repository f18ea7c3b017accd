"""inspect_ai's logs, `.eval` (a zip of Zstandard members) and `.json`: epochs are repeats, the task is the stratum.

What is read: `header.json` and `summaries.json`; of a log that was cut off before these were written,
`_journal/start.json` and the summaries of the journal. Transcripts stay unread.
"""

from __future__ import annotations

import math
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
from msgspec import Struct, field

from crucible_ray.errors import UsageError
from crucible_ray.importing.log import (
    Asked,
    Floats,
    Log,
    Row,
    columns,
    content_hash,
    finite,
    known_of_item,
    once,
)

_LETTERS: Final = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
"""inspect_ai's own values of correct, incorrect, partial and no answer, and of the words it knows."""
_ZSTANDARD: Final = 93
_LOCAL: Final = struct.Struct("<26xHH")


class _Score(Struct):
    value: Any = None


class _Sample(Struct):
    id: int | str
    epoch: int = 1
    input: Any = None
    scores: dict[str, _Score] | None = None
    metadata: dict[str, Any] = field(default_factory=dict)


class _Eval(Struct):
    task: str
    model: str
    packages: dict[str, Any] = field(default_factory=dict)


class _Header(Struct):
    eval: _Eval
    status: str = "unfinished"
    samples: list[_Sample] | None = None


def is_log(head: bytes) -> bool:
    """Whether a JSON file that begins like this is one of inspect_ai's."""
    return b'"eval"' in head and b'"task"' in head


class _Scorers(NamedTuple):
    """What was learnt of scorers while their scores were read."""

    lettered: set[str]
    """Those that say C, I, P or N."""
    unreadable: dict[str, str]
    """Those that say something that is no number, and one of their values."""


def read(path: Path, asked: Asked) -> Log:
    """A log of inspect_ai. Raises UsageError."""
    scorers = _Scorers(set(), {})
    try:
        header, samples = _json(path) if path.suffix.lower() == ".json" else _zip(path)
        labels, values = columns(once(_rows(header.eval, samples, asked, path.name, scorers), path.name))
    except (msgspec.DecodeError, zipfile.BadZipFile, KeyError, OSError, zlib.error, struct.error) as error:
        raise UsageError(f"{path.name} is not a readable log of inspect_ai: {error}.") from error
    values = {name: found for name, found in values.items() if name not in scorers.unreadable}
    if not values and not scorers.unreadable:
        raise UsageError(f"{path.name} has no score: score it with `inspect score` first.")
    shares = {name for name in scorers.lettered & values.keys() if _within_one(values[name])}
    return Log(
        name=path.name,
        tool=f"inspect_ai {header.eval.packages.get('inspect_ai', '')}".rstrip(),
        labels=labels,
        values=values,
        kinds=dict.fromkeys(shares, "bounded"),
        unreadable=scorers.unreadable,
        notes=() if header.status == "success" else (f"{path.name}: inspect_ai says of it: {header.status}",),
    )


def _within_one(values: Floats) -> bool:
    return not bool(((values < 0) | (values > 1)).any())


def _rows(
    run: _Eval, samples: Iterator[_Sample], asked: Asked, where: str, scorers: _Scorers
) -> Iterator[Row]:
    for sample in samples:
        values: dict[str, float | None] = {}
        for scorer, score in (sample.scores or {}).items():
            values |= _values(scorer, score.value, scorers)
        yield Row(
            item=str(sample.id),
            condition=run.model,
            values=values,
            repeat=sample.epoch,
            stratum=known_of_item(sample.metadata, asked.strata, where) or run.task,
            cluster=known_of_item(sample.metadata, asked.cluster, where),
            content=content_hash(sample.input),
        )


def _values(name: str, value: Any, scorers: _Scorers) -> dict[str, float | None]:
    """A score as numbers, each under a name; a score of several parts has a name for each."""
    if isinstance(value, Mapping):
        found: dict[str, float | None] = {}
        for part, inner in value.items():
            found |= _values(f"{name}/{part}", inner, scorers)
        return found
    if isinstance(value, str) and (number := _LETTERS.get(value, _LETTERS.get(value.lower()))) is not None:
        scorers.lettered.add(name)
        return {name: number}
    try:
        number = math.nan if value is None else float(value)
    except (TypeError, ValueError):
        scorers.unreadable.setdefault(name, f"{value!r:.60}")
        return {name: None}
    return {name: None if math.isnan(number) else number}


def _json(path: Path) -> tuple[_Header, Iterator[_Sample]]:
    header = msgspec.json.decode(finite(path.read_bytes()), type=_Header)
    return header, iter(header.samples or ())


def _zip(path: Path) -> tuple[_Header, Iterator[_Sample]]:
    with zipfile.ZipFile(path) as log:
        names = set(log.namelist())
        whole = "header.json" in names
        header = msgspec.json.decode(
            finite(_member(log, path, "header.json" if whole else "_journal/start.json")), type=_Header
        )
    return header, _samples(path, names)


def _samples(path: Path, names: set[str]) -> Iterator[_Sample]:
    """Of each answer its summary, member by member."""
    members = ["summaries.json"]
    if "summaries.json" not in names:
        members = sorted((name for name in names if name.startswith("_journal/summaries/")), key=_number)
    with zipfile.ZipFile(path) as log:
        for name in members:
            yield from msgspec.json.decode(finite(_member(log, path, name)), type=list[_Sample])


def _number(name: str) -> int:
    return int(Path(name).stem)


def _member(log: zipfile.ZipFile, path: Path, name: str) -> bytes:
    """One member's bytes; Python before 3.14 reads no Zstandard, so that these are taken from their place."""
    entry = log.getinfo(name)
    if entry.compress_type != _ZSTANDARD:
        return log.read(entry)
    import pyarrow as pa

    with path.open("rb") as file:
        file.seek(entry.header_offset)
        name_bytes, extra_bytes = _LOCAL.unpack(file.read(_LOCAL.size))
        file.seek(name_bytes + extra_bytes, 1)
        packed = file.read(entry.compress_size)
    try:
        data: bytes = pa.CompressedInputStream(pa.BufferReader(packed), "zstd").read()
    except (pa.ArrowException, OSError) as error:
        raise zipfile.BadZipFile(f"{name} cannot be unpacked ({error})") from error
    if zlib.crc32(data) != entry.CRC:
        raise zipfile.BadZipFile(f"{name} is damaged")
    return data
