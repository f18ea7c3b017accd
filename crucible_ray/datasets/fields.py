"""One record of a source becomes an Item.

| field | read from | becomes |
| --- | --- | --- |
| `id` | `id` | text; the row's number from 0 where there is none |
| `input` | `input`, else `question`, `text`, `prompt` | text |
| `expected` | `expected`, else `target`, `answer`, `label` | text; with choices a letter |
| `choices` | `choices`: a list, in a CSV cell a JSON list | at least two texts, at most 26 |
| `topic` | `topic` | text |
| `difficulty` | `difficulty` | a number from 0 to 1; a word ("hard") goes to the metadata |
| any other | | metadata; a nested value as JSON |

What became our `input`, `id`, `topic` or `difficulty` under another name stays in the metadata under its own, so that
templates and functions find it where the source has it. What became `expected` does not: no prompt gives it away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from string import ascii_uppercase
from typing import Any, Final

import msgspec

from crucible_ray.datasets.tables import plain
from crucible_ray.errors import DatasetError
from crucible_ray.records import Item
from crucible_ray.settings import did_you_mean

FIELDS: Final = ("id", "input", "expected", "choices", "topic", "difficulty")
_ALIASES: dict[str, tuple[str, ...]] = {
    "input": ("input", "question", "text", "prompt"),
    "expected": ("expected", "target", "answer", "label"),
}


def check_fields(fields: Mapping[str, str] | None) -> Mapping[str, str]:
    """`Dataset(fields=)`, which maps a field of ours to the source's name for it. Raises DatasetError."""
    for name in fields or {}:
        if name not in FIELDS:
            hint = did_you_mean(name, FIELDS)
            raise DatasetError(f"fields={{{name!r}: ...}} names no field of an item: {hint}")
    return fields or {}


def to_item(record: Mapping[str, Any], number: int, where: str, fields: Mapping[str, str]) -> Item:
    """The item that a record describes.

    number: the row's number from 0. where: file and line, for errors. fields: as from `check_fields`.
    Raises DatasetError, saying where and what to do.
    """
    record = {name: plain(value) for name, value in record.items()}
    names = {field: _source_name(field, record, fields, where) for field in FIELDS}
    values = {field: record.get(name) if name is not None else None for field, name in names.items()}
    shown = {name for field, name in names.items() if field not in ("expected", "choices") and name != field}
    metadata = _metadata(record, set(names.values()) - shown)
    difficulty = _difficulty(values["difficulty"], where)
    if isinstance(difficulty, str):
        metadata["difficulty"], difficulty = difficulty, None
    if values["input"] is None:
        raise DatasetError(_without_input(record, where))
    choices = _choices(values["choices"], where)
    return Item(
        id=str(number) if values["id"] is None else _text(values["id"], "id", where),
        input=_text(values["input"], "input", where),
        expected=_expected(values["expected"], choices, where),
        choices=choices,
        topic=None if values["topic"] is None else _text(values["topic"], "topic", where),
        difficulty=difficulty,
        metadata=metadata,
    )


def _source_name(field: str, record: Mapping[str, Any], fields: Mapping[str, str], where: str) -> str | None:
    given = fields.get(field)
    if given is not None:
        if given not in record:
            near = get_close_matches(given, map(str, record), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise DatasetError(
                f"{where}: there is no field {given!r}, which fields={{{field!r}: ...}} names.{hint}"
            )
        return given
    # A field that another one was mapped from is taken.
    taken = set(fields.values())
    for name in _ALIASES.get(field, (field,)):
        if record.get(name) is not None and name not in taken:
            return name
    return None


def _without_input(record: Mapping[str, Any], where: str) -> str:
    found = ", ".join(map(repr, record)) or "nothing"
    return (
        f"{where}: there is no 'input' (or 'question', 'text', 'prompt'); the record holds {found}. "
        'Say which field it is: Dataset(..., fields={"input": "NAME"}).'
    )


def _text(value: Any, field: str, where: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    raise DatasetError(f"{where}: {field!r} is a {type(value).__name__}; it must be text or a number.")


def _difficulty(value: Any, where: str) -> float | str | None:
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        if isinstance(value, str):
            return value
        raise DatasetError(f"{where}: 'difficulty' must be a number from 0 to 1.") from None
    if math.isnan(number):  # a missing value in a table of floats
        return None
    if not 0 <= number <= 1:
        raise DatasetError(f"{where}: 'difficulty' is {value}; it must lie between 0 (easy) and 1 (hard).")
    return number


def _choices(value: Any, where: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except msgspec.DecodeError:
            value = None
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise DatasetError(
            f'{where}: \'choices\' must be a list; in a CSV cell a JSON list: ["Rome", "Paris"].'
        )
    if not value:
        return None
    if not 2 <= len(value) <= len(ascii_uppercase):
        raise DatasetError(f"{where}: {len(value)} choices; there must be 2 to {len(ascii_uppercase)}.")
    return tuple(_text(choice, "choices", where) for choice in value)


def _expected(value: Any, choices: tuple[str, ...] | None, where: str) -> str | None:
    """The expected answer as text; with choices its letter, whether it came as letter, index or text."""
    if value is None:
        return None
    text = _text(value, "expected", where)
    if choices is None:
        return text
    letters = ascii_uppercase[: len(choices)]
    stripped = text.strip()
    if len(stripped) == 1 and stripped.upper() in letters:
        return stripped.upper()
    readings = {letter for letter, choice in zip(letters, choices, strict=True) if choice.strip() == stripped}
    index = _index(value)
    if index is not None and index < len(letters):
        # A number among choices that are written as texts is an index; where both are texts, nobody can tell.
        readings = {letters[index]} if not isinstance(value, str) else readings | {letters[index]}
    if len(readings) == 1:
        return readings.pop()
    what = "could be more than one of the choices" if readings else "is none of the choices"
    raise DatasetError(
        f"{where}: 'expected' ({text!r}) {what}. Write the letter of the right one, A to {letters[-1]}."
    )


def _index(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        return int(value) if value.strip().isdecimal() and len(value) < 4 else None
    if isinstance(value, float):
        return int(value) if value >= 0 and value.is_integer() else None
    return value if isinstance(value, int) and value >= 0 else None


def _metadata(record: Mapping[str, Any], used: set[str | None]) -> dict[str, str | int | float | bool | None]:
    """The fields that became nothing else; a mapping named `metadata` is merged into them."""
    rest = {str(key): value for key, value in record.items() if key not in used}
    nested = rest.get("metadata")
    if isinstance(nested, Mapping):
        del rest["metadata"]
        rest = {**{str(key): value for key, value in nested.items()}, **rest}
    return {key: _plain(value) for key, value in rest.items() if value is not None}


def _plain(value: Any) -> str | int | float | bool | None:
    """A metadata value: what JSON can say flatly as it is, anything nested as JSON text."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return msgspec.json.encode(value, enc_hook=str, order="sorted").decode()
