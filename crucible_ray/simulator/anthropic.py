"""Anthropic's messages as the simulator reads and writes them, each marked as simulated."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from crucible_ray.simulator.wire import WORDS, Request, Said, Trouble, frame_tokens, retry_after

_REASONS = {"stop": "end_turn", "length": "max_tokens"}
_ERRORS: dict[Trouble, tuple[int, str]] = {
    "bad_request": (400, "invalid_request_error"),
    "refused_key": (401, "authentication_error"),
    "refused_parameter": (400, "invalid_request_error"),
    "unknown_model": (404, "not_found_error"),
    "not_recorded": (400, "invalid_request_error"),
    "no_such_call": (404, "not_found_error"),
    "failed": (500, "api_error"),
    "failed_inside": (200, "api_error"),
    "overloaded": (529, "overloaded_error"),
    "rate": (429, "rate_limit_error"),
}


class _Block(Struct):
    type: str
    text: str = ""


def _text(content: str | list[_Block] | None) -> str:
    if isinstance(content, list):
        return "\n".join(block.text for block in content if block.type == "text")
    return content or ""


class _Turn(Struct):
    role: str
    content: str | list[_Block]


class MessagesRequest(Struct):
    """The fields of a request that the simulator heeds; `max_tokens` has to be there."""

    model: str
    messages: list[_Turn]
    max_tokens: int
    system: str | list[_Block] | None = None
    stream: bool | None = None

    def asked(self) -> str:
        """See Request."""
        return next((_text(turn.content) for turn in reversed(self.messages) if turn.role == "user"), "")

    def cap(self) -> int | None:
        """See Request."""
        return self.max_tokens

    def input_tokens(self) -> int:
        """See Request."""
        texts = [_text(turn.content) for turn in self.messages]
        return frame_tokens(texts if self.system is None else [_text(self.system), *texts])

    def unsupported(self) -> str | None:
        """See Request."""
        return "stream" if self.stream else None


class _Said(Struct):
    text: str
    type: str = "text"


class _Usage(Struct):
    input_tokens: int
    output_tokens: int
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


class _Message(Struct):
    id: str
    model: str
    content: list[_Said]
    stop_reason: str
    usage: _Usage
    type: str = "message"
    role: str = "assistant"
    stop_sequence: str | None = None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(MessagesRequest).decode


def read(body: bytes, model: str = "") -> tuple[str, Request]:
    """See Wire."""
    request = _decode(body)
    return request.model, request


def completion(said: Said) -> bytes:
    """See Wire."""
    message = _Message(
        f"msg_{said.name}",
        f"simulated/{said.model}",
        [_Said(said.text)] if said.text else [],
        _REASONS[said.finish_reason],
        _Usage(said.input_tokens, said.output_tokens),
    )
    return _encode(message)


def error(trouble: Trouble, message: str, *, param: str | None = None) -> tuple[int, bytes]:
    """See Wire. Anthropic names the parameter in front of its message."""
    status, kind = _ERRORS[trouble]
    text = f"{param}: {WORDS}{message}" if trouble == "refused_parameter" else WORDS + message
    body = {"type": "error", "error": {"type": kind, "message": text}, "request_id": "req_simulated"}
    return status, _encode(body)


def refusal(wait_s: float | None, rpm: float | None) -> tuple[int, bytes, str]:
    """See Wire."""
    status, body = error("rate", "rate limit reached")
    return status, body, "" if wait_s is None else retry_after(wait_s)


def limit_headers(rpm: float, remaining: int) -> str:
    """See Wire."""
    return (
        f"anthropic-ratelimit-requests-limit: {rpm:g}\r\n"
        f"anthropic-ratelimit-requests-remaining: {remaining}\r\n"
    )


def models(names: list[str]) -> bytes:
    """See Wire."""
    data = [
        {"type": "model", "id": name, "display_name": name, "created_at": "1970-01-01T00:00:00Z"}
        for name in names
    ]
    first, last = (names[0], names[-1]) if names else (None, None)
    return _encode({"data": data, "has_more": False, "first_id": first, "last_id": last})
