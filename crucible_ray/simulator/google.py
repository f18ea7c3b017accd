"""Google's generateContent as the simulator reads and writes it, each answer marked as simulated."""

from __future__ import annotations

import math
from typing import Any

import msgspec
from msgspec import Struct

from crucible_ray.simulator.wire import WORDS, Request, Said, Trouble, frame_tokens

_REASONS = {"stop": "STOP", "length": "MAX_TOKENS"}
_ERRORS: dict[Trouble, tuple[int, str]] = {
    "bad_request": (400, "INVALID_ARGUMENT"),
    "refused_key": (400, "INVALID_ARGUMENT"),
    "refused_parameter": (400, "INVALID_ARGUMENT"),
    "unknown_model": (404, "NOT_FOUND"),
    "not_recorded": (400, "INVALID_ARGUMENT"),
    "no_such_call": (404, "NOT_FOUND"),
    "failed": (500, "INTERNAL"),
    "failed_inside": (500, "INTERNAL"),
    "overloaded": (503, "UNAVAILABLE"),
    "rate": (429, "RESOURCE_EXHAUSTED"),
}
_TYPES = "type.googleapis.com/google.rpc."
_KEY_WORDS = "API key not valid. Please pass a valid API key."


class _Part(Struct):
    text: str = ""


class _Content(Struct):
    parts: list[_Part] = []
    role: str = "user"

    def text(self) -> str:
        """Parts joined by line ends."""
        return "\n".join(part.text for part in self.parts)


class _Config(Struct, rename="camel"):
    max_output_tokens: int | None = None
    candidate_count: int | None = None


class GenerateRequest(Struct, rename="camel"):
    """The fields of a request that the simulator heeds; the model stands in the path."""

    contents: list[_Content]
    system_instruction: _Content | None = None
    generation_config: _Config | None = None

    def asked(self) -> str:
        """See Request."""
        return next((turn.text() for turn in reversed(self.contents) if turn.role == "user"), "")

    def cap(self) -> int | None:
        """See Request."""
        return None if self.generation_config is None else self.generation_config.max_output_tokens

    def input_tokens(self) -> int:
        """See Request."""
        turns = [*self.contents, *([self.system_instruction] if self.system_instruction else [])]
        return frame_tokens([turn.text() for turn in turns])

    def unsupported(self) -> str | None:
        """See Request."""
        config = self.generation_config
        return "candidate_count" if config is not None and config.candidate_count not in (None, 1) else None


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(GenerateRequest).decode


def read(body: bytes, model: str) -> tuple[str, Request]:
    """See Wire."""
    return model, _decode(body)


def completion(said: Said) -> bytes:
    """See Wire."""
    content: dict[str, Any] = {"role": "model"}
    if said.text:
        content["parts"] = [{"text": said.text}]
    return _encode(
        {
            "candidates": [{"content": content, "finishReason": _REASONS[said.finish_reason], "index": 0}],
            "usageMetadata": {
                "promptTokenCount": said.input_tokens,
                "candidatesTokenCount": said.output_tokens,
                "totalTokenCount": said.input_tokens + said.output_tokens,
            },
            "modelVersion": f"simulated/{said.model}",
            "responseId": said.name,
        }
    )


def error(trouble: Trouble, message: str, *, param: str | None = None) -> tuple[int, bytes]:
    """See Wire. Google names the parameter by its path, and a refused key by its words alone."""
    status, _ = _ERRORS[trouble]
    details: list[dict[str, Any]] = []
    if trouble == "refused_key":
        message = _KEY_WORDS
        details = [{"@type": f"{_TYPES}ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]
    elif trouble == "refused_parameter":
        message = f"GenerateContentRequest.generation_config.{param}: {message}"
    elif trouble == "failed_inside":
        status = 200
    return status, _error(trouble, message, details)


def refusal(wait_s: float | None, rpm: float | None) -> tuple[int, bytes, str]:
    """See Wire. Google says all of it in the body, and nothing in headers."""
    details: list[dict[str, Any]] = []
    if rpm is not None:
        quota = {
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": "GenerateRequestsPerMinutePerProjectPerModel",
            "quotaValue": f"{rpm:g}",
        }
        details.append({"@type": f"{_TYPES}QuotaFailure", "violations": [quota]})
    if wait_s is not None:
        delay = f"{math.ceil(wait_s * 1000) / 1000:g}s"
        details.append({"@type": f"{_TYPES}RetryInfo", "retryDelay": delay})
    return 429, _error("rate", "You exceeded your current quota.", details), ""


def limit_headers(rpm: float, remaining: int) -> str:
    """See Wire."""
    return ""


def models(names: list[str]) -> bytes:
    """See Wire."""
    made = [
        {"name": f"models/{name}", "displayName": name, "supportedGenerationMethods": ["generateContent"]}
        for name in names
    ]
    return _encode({"models": made})


def _error(trouble: Trouble, message: str, details: list[dict[str, Any]]) -> bytes:
    status, word = _ERRORS[trouble]
    said = {"code": status, "message": WORDS + message, "status": word, "details": details}
    return _encode({"error": said})
