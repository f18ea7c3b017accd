"""What every importer makes of its file: one row an answer, as columns."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from crucible_ray.errors import UsageError
from crucible_ray.settings import did_you_mean

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

BY: Final = ("model", "task", "log")
"""What of a log can be its condition; the first unless it is said."""
LABELS: Final = ("item", "condition", "repeat", "stratum", "cluster", "content")


class Asked(NamedTuple):
    """What the user said of the columns and scores to take; None: not said."""

    value: str | None = None
    """Of a table: the column that holds the outcome."""
    by: str | None = None
    """Of a table: the column that names the condition; of another log one of `BY`."""
    pair: str | None = None
    """Of a table: the column that names the item."""
    repeat: str | None = None
    """Of a table: the column that numbers an item's repeats."""
    cluster: str | None = None
    """A column, or what another tool's log knows of an item, of units above items."""
    strata: str | None = None
    """The same, of fixed parts."""
    metric: str | None = None
    """Of a log with several scores: which one."""


class Row(NamedTuple):
    """One answer, as an importer reads it."""

    item: str
    condition: str
    values: dict[str, float | None]
    """By score; None: there is none (the sample failed)."""
    repeat: int = 0
    stratum: str = ""
    """The task: fixed, each with items of its own."""
    cluster: str = ""
    content: str = ""
    """What tells an item's content from another's, empty where it is not known."""


class Labels(NamedTuple):
    """A column of names: `names[codes[row]]`."""

    codes: Codes
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Log:
    """One file or folder. All columns have the same length, NaN where a score is missing."""

    name: str
    """Short, for people: a file's or a folder's name."""
    tool: str
    """Who wrote it, with the version where that is in it."""
    labels: Mapping[str, Labels]
    """The columns of LABELS."""
    values: Mapping[str, Floats]
    """By score."""
    table: bool = False
    """Whether it is a table, whose columns were named."""
    items: bool = True
    """Whether item ids are known, so that conditions can be paired."""
    repeats: bool = True
    """Whether repeats are numbered, so that a row that stands twice can be told from a repeat."""
    same_content: bool = False
    """Whether other content makes an id another item; else it is only said."""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Of a score, where the tool declares it, as `stats.compare` knows kinds."""
    default: str | None = None
    """The score that is taken where several are there and none is asked for."""
    unreadable: Mapping[str, str] = field(default_factory=dict)
    """Scores that are no numbers, with one of their values."""
    notes: tuple[str, ...] = ()


class Encoder:
    """Names as codes, in order of first appearance."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._codes = array("q")

    def add(self, name: str) -> None:
        """One more row."""
        self._codes.append(self._known.setdefault(name, len(self._known)))

    def extend(self, names: Sequence[str], codes: Codes) -> None:
        """Many rows: `names[codes[row]]`."""
        known = [self._known.setdefault(name, len(self._known)) for name in names]
        self._codes.frombytes(np.asarray(known, np.int64)[codes].tobytes())

    def labels(self) -> Labels:
        """All that was added."""
        return Labels(np.frombuffer(self._codes, np.int64), tuple(self._known))


def columns(rows: Iterable[Row]) -> tuple[dict[str, Labels], dict[str, Floats]]:
    """Rows as labels and values by score; a score that a row does not have is missing there."""
    encoders = {name: Encoder() for name in LABELS}
    values: dict[str, array[float]] = {}
    count = 0
    for row in rows:
        for name in LABELS:
            encoders[name].add(str(getattr(row, name)))
        for metric, value in row.values.items():
            column = values.setdefault(metric, array("d"))
            column.extend([np.nan] * (count - len(column)))
            column.append(np.nan if value is None else value)
        count += 1
    for column in values.values():
        column.extend([np.nan] * (count - len(column)))
    return (
        {name: encoder.labels() for name, encoder in encoders.items()},
        {metric: np.frombuffer(column, np.float64) for metric, column in values.items()},
    )


def constant(name: str, rows: int) -> Labels:
    """A column that says the same everywhere."""
    return Labels(np.zeros(rows, np.int64), (name,))


def known_of_item(found: Mapping[str, object], name: str | None, where: str) -> str:
    """What a log says of an item under a name, as text; empty where nothing is asked. Raises UsageError."""
    if name is None:
        return ""
    if name not in found:
        known = did_you_mean(name, found) if found else "nothing is recorded of it."
        raise UsageError(f"{where}: an item has no {name!r}: {known}")
    return str(found[name])


def content_hash(told: object) -> str:
    """Tells an item's content from another's."""
    return blake2b(msgspec.json.encode(told), digest_size=8).hexdigest()


def listed(names: Sequence[str], most: int = 20) -> str:
    """Names for people, as many as can be read."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def once(rows: Iterable[Row], where: str) -> Iterator[Row]:
    """The same rows. Raises UsageError where an item's repeat of a condition and task stands twice."""
    seen: set[tuple[str, str, str, int]] = set()
    for row in rows:
        key = row.condition, row.stratum, row.item, row.repeat
        if key in seen:
            raise UsageError(
                f"{where}: item {row.item!r} (repeat {row.repeat}) stands twice: the file was joined of two runs, or "
                "the dataset gives two items one id. Give each run a file of its own, and items ids of their own."
            )
        seen.add(key)
        yield row


def finite(data: bytes) -> bytes:
    """JSON with null for NaN and Infinity, which Python's tools write and JSON does not know."""
    if b"NaN" not in data and b"Infinity" not in data:
        return data
    import json

    return msgspec.json.encode(json.loads(data, parse_constant=lambda _: None))
