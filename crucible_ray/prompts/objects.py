"""The JSON object in a reply: in a code fence, after a sentence, or the whole of it."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

_canonical = msgspec.json.Encoder(order="sorted").encode
_decoder = json.JSONDecoder(parse_constant=str)
_START = re.compile(r"\{(?=\s{0,99}[\"}])")
_WORK = 20
"""So many times a reply's length is read at most: a hostile one cannot take longer."""


def read_object(text: str, field: str | None = None) -> str | None:
    """The last object in `text`, or of those that have it the `field` of the last; None where there is none.

    An object and a list are given as canonical JSON, a text as it stands, `true` and a number as JSON writes
    them; null and an empty text are no answer. field: a key, or keys joined by dots.
    """
    for found in reversed(_objects(text)):
        if field is None:
            return _written(found)
        value = _field(found, field)
        if value is not None:
            return _written(value)
    return None


def _objects(text: str) -> list[dict[str, Any]]:
    """The outermost objects of a text, in its order."""
    found: list[dict[str, Any]] = []
    left = _WORK * len(text)
    start = _START.search(text)
    while start is not None and left > 0:
        at = start.start()
        try:
            value, end = _decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            # The error counts the lines before it.
            left -= 1 + error.pos - at + error.pos // 8
            end = at + 1
        except (ValueError, RecursionError):
            # A number of thousands of digits, or thousands of brackets.
            left -= len(text) - at
            end = at + 1
        else:
            found.append(value)
        start = _START.search(text, end)
    return found


def _field(found: dict[str, Any], field: str) -> Any:
    if field in found:
        return found[field]
    value: Any = found
    for key in field.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _written(value: Any) -> str | None:
    if isinstance(value, str):
        return value.strip() or None
    try:
        return _canonical(value).decode()
    except (OverflowError, RecursionError, UnicodeEncodeError, ValueError):
        return None
