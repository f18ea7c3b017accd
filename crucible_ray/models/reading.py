"""How the body of a success is read: strictly, and where that fails once more with patience.

A reply is paid for. One whose text can be read is kept, whatever stands beside the text: a count that is no number,
half of a surrogate pair, NaN where JSON has none. What is odd is unknown, and never a zero. Bytes that are no UTF-8
are not guessed at.
"""

from __future__ import annotations

import json
import math
from types import NoneType
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct, ValidationError
from msgspec.structs import fields

from crucible_ray.errors import MalformedReply
from crucible_ray.models.refusals import UNREADABLE, shorten
from crucible_ray.models.transport import Response

_Shape = TypeVar("_Shape", bound=Struct)
_TEXT = frozenset({"choices", "candidates", "message", "content", "parts", "text", "refusal"})
"""Where the formats hold the answer: what is odd here may have been all of it."""
_NO_NUMBER = math.nan
"""A number that is given and is none. What is summed or averaged with it is unknown; an absent one is left out."""
_DIGITS = 100
"""An integer of more is read as a float: Python refuses the longest."""


def read(
    decoder: msgspec.json.Decoder[_Shape], response: Response, key: str | None
) -> tuple[_Shape, MalformedReply | None]:
    """(body, what to raise if it holds no text): None where the absence of a text can be believed.

    key: never shown in an error. Raises MalformedReply for a body that is no JSON, or no object.
    """
    try:
        return decoder.decode(response.body), None
    except UNREADABLE as error:
        unread = MalformedReply(f"the body is no reply: {shorten(str(error), key)}", response.status)
    odd: set[str] = set()
    try:
        said = json.loads(response.body.decode("utf-8-sig"), strict=False, parse_int=_integer)
        body: _Shape = _fit(said, decoder.type, odd)
    except (ValueError, RecursionError):
        raise unread from None
    return body, unread if odd & _TEXT else None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


def _fit(said: Any, shape: Any, odd: set[str]) -> Any:
    """What was said as `shape`, the names of what did not fit noted in `odd`. Raises ValidationError where nothing fits."""
    options = get_args(shape) if NoneType in get_args(shape) else (shape,)
    for option in options:
        if isinstance(said, dict) and isinstance(option, type) and issubclass(option, Struct):
            return _fit_fields(said, option, odd)
        if isinstance(said, list) and get_origin(option) is list:
            return [_fit_item(each, get_args(option)[0], odd) for each in said]
    if shape is msgspec.Raw:
        return msgspec.Raw(json.dumps(said).encode())
    if isinstance(said, str) and str in options:
        return said.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return msgspec.convert(said, shape, strict=False)


def _fit_fields(said: dict[str, Any], shape: type[Struct], odd: set[str]) -> Struct:
    """An odd field has its default, which says that it is not known."""
    fitting: dict[str, Any] = {}
    for field in fields(shape):
        if field.encode_name not in said:
            continue
        try:
            fitting[field.name] = _fit(said[field.encode_name], field.type, odd)
        except ValidationError:
            odd.add(field.name)
            if float in get_args(field.type):
                fitting[field.name] = _NO_NUMBER
    return shape(**fitting)


def _fit_item(said: Any, shape: type[Struct], odd: set[str]) -> Any:
    """An odd item keeps its place, empty."""
    try:
        return _fit(said, shape, odd)
    except ValidationError:
        odd.add("content")
        return shape()
