"""A reply becomes an answer, or None where it cannot be read: then it is wrong, counted, and never a vote."""

from __future__ import annotations

import re
from collections.abc import Callable
from difflib import get_close_matches

from crucible_ray.errors import SpecError
from crucible_ray.experiment.defaults import (
    BY_ITEM,
    JSON_FIELD,
    PARSE_BESIDE,
    PARSE_KINDS,
    is_pattern,
    own_parser,
    parse_of,
    pattern_problem,
)
from crucible_ray.prompts.booleans import read_boolean
from crucible_ray.prompts.choice import letters_of, read_choice
from crucible_ray.prompts.numerals import read_number
from crucible_ray.prompts.objects import read_object
from crucible_ray.records import Item

Parser = Callable[[str, Item], str | None]


def parser(kind: str) -> Parser:
    """The function behind `parse=`: one of `PARSE_KINDS`, `json:FIELD`, or a regular expression with one group.

    Raises SpecError for anything else.
    """
    found = _KINDS.get(kind)
    if found is None and is_pattern(kind):
        return _pattern(kind)
    if found is None:
        near = get_close_matches(kind, PARSE_KINDS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"use one of: {', '.join(PARSE_KINDS)}."
        raise SpecError((f"parse={kind!r} does not exist: {hint} Also: {PARSE_BESIDE}.",))
    return found


def answer_key(kind: str, item: Item) -> str | None:
    """The item's expected answer in the form that the parser gives predictions, so that the two compare.

    `#### 1,000` and `1000.0` are one number. What the parser cannot read stays as it is, and so does everything where
    the parser is the author's own; None stays None.
    """
    kind = parse_of(item) if kind == BY_ITEM else kind
    if item.expected is None or kind == "choice" or own_parser(kind) is not None:
        return item.expected
    read = parser(kind)(item.expected, item)
    return item.expected if read is None else read


def _pattern(kind: str) -> Parser:
    problem = pattern_problem(kind)
    if problem is not None:
        raise SpecError((f"parse={kind!r}: {problem}",))
    if kind.startswith(JSON_FIELD):
        field = kind.removeprefix(JSON_FIELD)
        return lambda text, item: read_object(answer_part(text), field)
    pattern = re.compile(kind)

    def first_match(text: str, item: Item) -> str | None:
        # The first, as lm-evaluation-harness and inspect_ai take it: a pattern from there reads the same here.
        matches = pattern.finditer(answer_part(text))
        return next((found for match in matches if (found := (match[1] or "").strip())), None)

    return first_match


def _boolean(text: str, item: Item) -> str | None:
    return read_boolean(answer_part(text))


def _json(text: str, item: Item) -> str | None:
    return read_object(answer_part(text))


def _number(text: str, item: Item) -> str | None:
    return read_number(answer_part(text))


def _choice(text: str, item: Item) -> str | None:
    return read_choice(answer_part(text), item)


def _text(text: str, item: Item) -> str | None:
    return answer_part(text).strip() or None


def _first_letter(text: str, item: Item) -> str | None:
    """The first letter of the reply, upper case; None where it is none of the item's letters."""
    for character in answer_part(text):
        if character.isalpha():
            letter = character.upper()
            return letter if letter in letters_of(item) else None
    return None


def answer_part(text: str) -> str:
    """The reply without a reasoning model's `<think>` block; empty where it never came out of it."""
    if "<think>" not in text and "</think>" not in text:
        return text
    _, closed, rest = text.rpartition("</think>")
    return rest if closed else text.partition("<think>")[0]


def _by_item(text: str, item: Item) -> str | None:
    return _KINDS[parse_of(item)](text, item)


_KINDS: dict[str, Parser] = {
    "choice": _choice,
    "number": _number,
    "boolean": _boolean,
    "text": _text,
    "json": _json,
    "first_letter": _first_letter,
    BY_ITEM: _by_item,
}
