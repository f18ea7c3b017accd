"""What the simulator needs of a wire format; `openai`, `anthropic` and `google` beside this file are the three.

What goes wrong is one `Trouble`, which each format puts into its provider's words.
"""

from __future__ import annotations

import math
from typing import Literal, Protocol

from msgspec import Struct

FINGERPRINT = "simulated"
WORDS = "Simulated: "
"""How every error begins."""

Trouble = Literal[
    "bad_request",
    "refused_key",
    "refused_parameter",
    "unknown_model",
    "not_recorded",
    "no_such_call",
    "failed",
    "failed_inside",
    "overloaded",
    "rate",
]


class Said(Struct):
    """An answer, before it is put into a format."""

    name: str
    """Tells this answer from every other."""
    model: str
    text: str
    input_tokens: int
    output_tokens: int
    finish_reason: str
    """`stop` or `length`."""


class Request(Protocol):
    """One request for a completion."""

    def asked(self) -> str:
        """The last user turn."""
        ...

    def cap(self) -> int | None:
        """The most tokens that the answer may have."""
        ...

    def input_tokens(self) -> int:
        """About what a tokenizer would count: four characters a token, and four for each turn's frame."""
        ...

    def unsupported(self) -> str | None:
        """A parameter that is not played here."""
        ...


class Wire(Protocol):
    """One provider's way to be asked and to answer."""

    def read(self, body: bytes, model: str) -> tuple[str, Request]:
        """(model, request); `model` is the one that the path names, if any. Raises ValueError (msgspec's)."""
        ...

    def completion(self, said: Said) -> bytes:
        """The body of a completion."""
        ...

    def error(self, trouble: Trouble, message: str, *, param: str | None = None) -> tuple[int, bytes]:
        """Status and body of an error."""
        ...

    def refusal(self, wait_s: float | None, rpm: float | None) -> tuple[int, bytes, str]:
        """Status, body and header lines of a refusal by rate: when to come back, and the limit, where known."""
        ...

    def limit_headers(self, rpm: float, remaining: int) -> str:
        """Header lines that tell about the limit, each ended by CRLF."""
        ...

    def models(self, names: list[str]) -> bytes:
        """The list of models."""
        ...


def frame_tokens(texts: list[str]) -> int:
    """Tokens of turns, each in its frame."""
    return sum(len(text) // 4 + 4 for text in texts)


def retry_after(wait_s: float) -> str:
    """The header line; whole seconds, as providers have them, where it is not less than one."""
    return f"retry-after: {math.ceil(wait_s) if wait_s > 1.0 else wait_s:g}\r\n"
