"""Items as canonical bytes: one JSON object a line, fields and metadata in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from crucible_ray.records import Item

_encoder = msgspec.json.Encoder(order="sorted")


def to_jsonl(items: Sequence[Item]) -> bytes:
    """The items as JSON lines, keys sorted; equal items give equal bytes, which `load_items` reads back."""
    return _encoder.encode_lines(items)


def checksum(items: Sequence[Item]) -> str:
    """SHA-256 of `to_jsonl(items)`, hexadecimal."""
    return sha256(to_jsonl(items)).hexdigest()
