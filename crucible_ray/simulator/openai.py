"""OpenAI's chat completions as the simulator reads and writes them, each marked as simulated."""

from __future__ import annotations

import math

import msgspec
from msgspec import Struct

from crucible_ray.simulator.wire import FINGERPRINT, WORDS, Request, Said, Trouble, frame_tokens, retry_after


class TextPart(Struct):
    """One part of a message; only text is looked at."""

    type: str
    text: str = ""


class ChatMessage(Struct):
    """One turn of a request."""

    role: str
    content: str | list[TextPart] | None = None

    def text(self) -> str:
        """The turn's text, parts joined by line ends."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content if part.type == "text")
        return self.content or ""


class ChatRequest(Struct):
    """The fields of a request that the simulator heeds."""

    model: str
    messages: list[ChatMessage]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    n: int | None = None

    def asked(self) -> str:
        """See Request."""
        return next((turn.text() for turn in reversed(self.messages) if turn.role == "user"), "")

    def cap(self) -> int | None:
        """See Request."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    def input_tokens(self) -> int:
        """See Request."""
        return frame_tokens([turn.text() for turn in self.messages])

    def unsupported(self) -> str | None:
        """See Request."""
        return "stream" if self.stream else "n" if self.n not in (None, 1) else None


class _Message(Struct):
    content: str
    role: str = "assistant"


class _Choice(Struct):
    message: _Message
    finish_reason: str
    index: int = 0


class _Usage(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class _Completion(Struct):
    id: str
    model: str
    choices: tuple[_Choice]
    usage: _Usage
    object: str = "chat.completion"
    created: int = 0
    system_fingerprint: str = FINGERPRINT


class _Error(Struct):
    message: str
    type: str
    param: str | None = None
    code: str | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ChatRequest).decode

_ERRORS: dict[Trouble, tuple[int, str, str | None]] = {
    "bad_request": (400, "invalid_request_error", None),
    "refused_key": (401, "invalid_request_error", "invalid_api_key"),
    "refused_parameter": (400, "invalid_request_error", "unsupported_parameter"),
    "unknown_model": (404, "invalid_request_error", "model_not_found"),
    "not_recorded": (404, "invalid_request_error", "reply_not_recorded"),
    "no_such_call": (404, "not_found", None),
    "failed": (500, "server_error", None),
    "failed_inside": (200, "server_error", "server_error"),
    "overloaded": (529, "overloaded_error", None),
    "rate": (429, "requests", "rate_limit_exceeded"),
}


def read(body: bytes, model: str = "") -> tuple[str, Request]:
    """See Wire."""
    request = _decode(body)
    return request.model, request


def completion(said: Said) -> bytes:
    """See Wire."""
    usage = _Usage(said.input_tokens, said.output_tokens, said.input_tokens + said.output_tokens)
    choice = _Choice(_Message(said.text), said.finish_reason)
    return _encode(_Completion(f"chatcmpl-{said.name}", f"simulated/{said.model}", (choice,), usage))


def error(trouble: Trouble, message: str, *, param: str | None = None) -> tuple[int, bytes]:
    """See Wire."""
    status, kind, code = _ERRORS[trouble]
    return status, _encode({"error": _Error(WORDS + message, kind, param, code)})


def refusal(wait_s: float | None, rpm: float | None) -> tuple[int, bytes, str]:
    """See Wire."""
    status, body = error("rate", "rate limit reached")
    return status, body, "" if wait_s is None else retry_after(wait_s) + _millis(wait_s)


def limit_headers(rpm: float, remaining: int) -> str:
    """See Wire."""
    return f"x-ratelimit-limit-requests: {rpm:g}\r\nx-ratelimit-remaining-requests: {remaining}\r\n"


def models(names: list[str]) -> bytes:
    """See Wire."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "simulated"} for name in names]
    return _encode({"object": "list", "data": data})


def _millis(wait_s: float) -> str:
    return f"retry-after-ms: {math.ceil(wait_s * 1000)}\r\n"
