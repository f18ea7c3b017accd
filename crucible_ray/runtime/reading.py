"""An author's own parser reads each reply once, as it comes; from then on the record says what it read.

A row is made from that record alone, so a replay runs no code of the author's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from crucible_ray.experiment.defaults import own_parser
from crucible_ray.prompts.own import OwnReader, Reading
from crucible_ray.records import Call


def own_reader(
    parse: str, functions: Mapping[str, Callable[..., Any]], conceal: Callable[[str], str] = str
) -> OwnReader | None:
    """The author's parser behind a plan's `parse`; None: it is another kind, or this is a replay."""
    function = functions.get(f"parse {parse}")
    return None if function is None else OwnReader(function, own_parser(parse) or parse, conceal)


def noted(calls: Sequence[Call], reading: Reading) -> list[Call]:
    """The attempts of a call, the last of which brought the reply that was read so."""
    return [*calls[:-1], replace(calls[-1], read=reading.answer, detail=reading.failure)]


def reading_of(calls: Sequence[Call]) -> Reading:
    """What the record of a call that was answered says of its reply."""
    return Reading(calls[-1].read, calls[-1].detail)


def unread(calls: Sequence[Call]) -> list[Call]:
    """Recorded calls without what an author's parser made of them: who takes them over reads them for himself."""
    return [
        replace(call, read=None, detail=None)
        if call.outcome == "ok" and (call.read is not None or call.detail is not None)
        else call
        for call in calls
    ]
