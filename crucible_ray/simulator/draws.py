"""Randomness by name: the same words give the same numbers, whatever was asked before.

One BLAKE2b digest holds every number that a request needs, at a microsecond, where seeding a generator
costs ten.
"""

from __future__ import annotations

import struct
from hashlib import blake2b
from statistics import NormalDist

_EIGHT = struct.Struct("<8Q").unpack
_gauss = NormalDist().inv_cdf

FAULT, OWN, WRONG, STYLE, LATENCY, TAIL, LENGTH, FAULT_DETAIL = range(8)
"""Which of a request's eight numbers decides what."""


def body_key(seed: int, body: bytes) -> bytes:
    """16 bytes that stand for a request body under a seed."""
    return blake2b(body, digest_size=16, key=b"%d" % seed).digest()


def draws(key: bytes, nth: int) -> tuple[float, ...]:
    """Eight independent uniform numbers within (0, 1) for the nth request with this key."""
    digest = blake2b(b"%d" % nth, digest_size=64, key=key).digest()
    # 52 bits and a half: neither 0 nor 1, so that every number has a normal quantile.
    return tuple([((bits >> 12) + 0.5) * 2.0**-52 for bits in _EIGHT(digest)])


def named_draw(seed: int, *words: str) -> float:
    """One uniform number within (0, 1) for a purpose and whom it concerns."""
    text = "\x1f".join(words).encode("utf-8", "surrogatepass")
    digest = blake2b(text, digest_size=8, key=b"%d" % seed).digest()
    return ((int.from_bytes(digest, "little") >> 12) + 0.5) * 2.0**-52


def normal(uniform: float) -> float:
    """The standard normal number at a quantile."""
    return _gauss(uniform)
