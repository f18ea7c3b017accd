"""OpenAI's chat completions as the simulator reads and writes them, each marked as simulated."""

from __future__ import annotations

import msgspec
from msgspec import Struct

FINGERPRINT = "simulated"


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
        """The last user turn."""
        return next((turn.text() for turn in reversed(self.messages) if turn.role == "user"), "")

    def cap(self) -> int | None:
        """The most tokens that the answer may have."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    def input_tokens(self) -> int:
        """About what a tokenizer would count: four characters a token, and four for each turn's frame."""
        return sum(len(turn.text()) // 4 + 4 for turn in self.messages)


class _Said(Struct):
    content: str
    role: str = "assistant"


class _Choice(Struct):
    message: _Said
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


def read_chat(body: bytes) -> ChatRequest:
    """The request in a body; raises ValueError (msgspec's) where it is none."""
    return _decode(body)


def completion(
    name: str, model: str, text: str, *, input_tokens: int, output_tokens: int, finish_reason: str
) -> bytes:
    """The body of a chat completion."""
    usage = _Usage(input_tokens, output_tokens, input_tokens + output_tokens)
    return _encode(_Completion(name, f"simulated/{model}", (_Choice(_Said(text), finish_reason),), usage))


def error(message: str, kind: str, *, param: str | None = None, code: str | None = None) -> bytes:
    """The body of an error."""
    return _encode({"error": _Error(f"Simulated: {message}", kind, param, code)})


def model_list(names: list[str]) -> bytes:
    """The body of `GET /v1/models`."""
    data = [{"id": name, "object": "model", "created": 0, "owned_by": "simulated"} for name in names]
    return _encode({"object": "list", "data": data})
