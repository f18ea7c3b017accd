"""Google's generateContent, as the Gemini API speaks it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote, urlunsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.errors import ContentFiltered, MalformedReply, RateLimited, SpecError
from crucible_ray.experiment.plan import CallPlan
from crucible_ray.models.reading import read
from crucible_ray.models.refusals import UNREADABLE, Complaint, complaint, failure
from crucible_ray.models.transport import Response
from crucible_ray.models.wire import (
    FIXED_HEADERS,
    NO_ERROR,
    Count,
    address,
    encode,
    limit,
    most,
    parted,
    present,
    probability,
    refuse_reserved,
    total,
    whole,
)
from crucible_ray.records import Limits, Message, Reply, Usage

_VERSION = "/v1beta"
_CALL = ":generateContent"
_ROLES = {"assistant": "model"}
_REASONS = {"STOP": "stop", "MAX_TOKENS": "length"}
_FILTERS = frozenset(
    {
        "SAFETY",
        "RECITATION",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "SPII",
        "LANGUAGE",
        "IMAGE_SAFETY",
        "IMAGE_PROHIBITED_CONTENT",
        "IMAGE_RECITATION",
        "MODEL_ARMOR",
    }
)
_OF_THE_REQUEST = frozenset(
    {
        "safetySettings",
        "tools",
        "toolConfig",
        "cachedContent",
        "labels",
        "store",
        "serviceTier",
        "modelArmorConfig",
    }
)
"""Keys of a request that stand beside `generationConfig`; every other key of `extra` goes into it."""
_FIELD = re.compile(r"generation_?config\.(\w+)", re.I)


def url(base_url: str, model: str = "") -> str:
    """See Wire. The base names no version, by the habit of Google's own client; one that does works too."""
    parts = address(base_url)
    path = parts.path.rstrip("/").removesuffix("/v1").removesuffix(_VERSION) + _VERSION
    name = model if model.startswith(("models/", "tunedModels/")) else f"models/{model}"
    return urlunsplit(parts._replace(path=f"{path}/{quote(name)}{_CALL}", fragment=""))


def headers(key: str | None, base_url: str = "") -> dict[str, str]:
    """See Wire. The key never stands in the address, where logs would keep it."""
    return FIXED_HEADERS if key is None else FIXED_HEADERS | {"x-goog-api-key": key}


def frame(call: CallPlan) -> tuple[bytes, bytes]:
    """See Wire. Keys of `extra` may be written as in Google's Python client (`top_p`) or as in JSON (`topP`)."""
    extra = {_camel(name): value for name, value in sorted(call.extra.items())}
    refuse_reserved(
        replace(call, extra=extra), ("model", "contents", "messages", "systemInstruction", "stream")
    )
    config, beside = _config(call, extra), {name: extra[name] for name in extra if name in _OF_THE_REQUEST}
    tail = ({"generationConfig": config} if config else {}) | beside
    return b"{", b"," + encode(tail)[1:] if tail else b"}"


def turns(messages: Sequence[Message]) -> bytes:
    """See Wire."""
    system, said = parted(messages)
    contents = [
        {"role": _ROLES.get(role, role), "parts": [{"text": text} for text in texts]} for role, texts in said
    ]
    head = b"" if system is None else b'"systemInstruction":' + encode({"parts": [{"text": system}]}) + b","
    return head + b'"contents":' + encode(contents)


def decode(response: Response, *, now_s: float, key: str | None = None) -> Reply:
    """See Wire."""
    if response.status != 200:
        raise _failure(response, now_s, key)
    answer, unread = read(_answers, response, key)
    if present(answer.error):
        raise _failure(response, now_s, key)
    if not answer.candidates:
        feedback = answer.prompt_feedback
        if feedback is not None and feedback.block_reason:
            raise ContentFiltered(f"the prompt was blocked: {feedback.block_reason}", response.status)
        raise unread or MalformedReply("the reply holds no candidates", response.status)
    reply = _reply(answer, answer.candidates[0], response)
    if not reply.text and unread:
        raise unread
    return reply


def limits_from(response: Response) -> Limits:
    """See Wire. Google tells its limits in the body of a refusal, and in no header."""
    requests = tokens = None
    for violation in _violations(response.body):
        name, allowed = str(violation.get("quotaId", "")), limit(violation.get("quotaValue"))
        if "PerMinute" not in name:
            continue
        if "Requests" in name:
            requests = allowed
        elif "Token" in name:
            tokens = allowed
    return Limits(requests_per_minute=requests, tokens_per_minute=tokens)


def largest_output(call: CallPlan) -> int | None:
    """See Wire."""
    config = _config(call, {_camel(name): value for name, value in call.extra.items()})
    largest = most((config.get("maxOutputTokens"),)) or call.model.max_output_tokens
    count = config.get("candidateCount", 1)
    return largest * count if largest is not None and isinstance(count, int) else None


class _Part(Struct):
    text: str | None = None
    thought: bool | None = None


class _Content(Struct):
    parts: list[_Part] | None = None


class _Candidate(Struct, rename="camel"):
    content: _Content | None = None
    finish_reason: str | None = None
    avg_logprobs: float | None = None


class _Feedback(Struct, rename="camel"):
    block_reason: str | None = None


class _UsageMetadata(Struct, rename="camel"):
    prompt_token_count: Count = None
    candidates_token_count: Count = None
    thoughts_token_count: Count = None
    cached_content_token_count: Count = None
    tool_use_prompt_token_count: Count = None


class _Answer(Struct, rename="camel"):
    candidates: list[_Candidate] | None = None
    prompt_feedback: _Feedback | None = None
    usage_metadata: _UsageMetadata | None = None
    model_version: str | None = None
    error: msgspec.Raw = NO_ERROR


_answers = msgspec.json.Decoder(_Answer)


def _reply(answer: _Answer, candidate: _Candidate, response: Response) -> Reply:
    parts = (candidate.content.parts if candidate.content else None) or []
    text = "".join(part.text or "" for part in parts if not part.thought)
    word = candidate.finish_reason
    if word in _FILTERS:
        if not text:
            raise ContentFiltered(f"the provider's filter withheld the answer: {word}", response.status)
        word = "content_filter"
    elif word is not None:
        word = _REASONS.get(word, word.lower())
    mean = candidate.avg_logprobs
    return Reply(
        text=text,
        finish_reason=word,
        usage=_usage(answer.usage_metadata),
        model_version=answer.model_version,
        confidence=probability(mean) if mean is not None else None,
    )


def _usage(usage: _UsageMetadata | None) -> Usage:
    """What is billed as output are the candidates and the thoughts; what the cache held is part of the prompt."""
    if usage is None:
        return Usage()
    prompt, thoughts = usage.prompt_token_count, usage.thoughts_token_count
    return Usage(
        input_tokens=None if prompt is None else total(prompt, usage.tool_use_prompt_token_count),
        # An answer that was all thought has no count of its own.
        output_tokens=None if prompt is None else total(usage.candidates_token_count, thoughts),
        reasoning_tokens=whole(thoughts),
        cached_tokens=whole(usage.cached_content_token_count),
    )


def _config(call: CallPlan, extra: dict[str, Any]) -> dict[str, Any]:
    """`generationConfig`; `extra` may hold the whole of it, or its keys beside each other."""
    config: dict[str, Any] = {}
    if call.temperature is not None:
        config["temperature"] = call.temperature
    if call.max_tokens is not None:
        config["maxOutputTokens"] = call.max_tokens
    whole_config = extra.get("generationConfig", {})
    if not isinstance(whole_config, dict):
        raise SpecError((f"{call.model.name}: extra's generationConfig has to be a table.",))
    config.update({_camel(name): value for name, value in sorted(whole_config.items())})
    own = {
        name: value
        for name, value in extra.items()
        if name not in _OF_THE_REQUEST and name != "generationConfig"
    }
    return config | own


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def _failure(response: Response, now_s: float, key: str | None) -> Exception:
    said = complaint(response.body)
    if said.param is None and (found := _FIELD.search(said.message)):
        said = replace(said, param=found[1])
    if any("PerDay" in str(violation.get("quotaId", "")) for violation in _violations(response.body)):
        said = Complaint(message=said.message, code="insufficient_quota", kind=said.kind)
    error = failure(response, said, now_s, key)
    if isinstance(error, RateLimited) and error.retry_after_s is None:
        return RateLimited(error.detail, error.status, _retry_delay_s(response.body))
    return error


def _details(body: bytes) -> list[dict[str, Any]]:
    """The typed `details` of an error (google.rpc); empty where there are none."""
    try:
        said = msgspec.json.decode(body)
    except UNREADABLE:
        return []
    if isinstance(said, list) and said:
        said = said[0]
    error = said.get("error") if isinstance(said, dict) else None
    details = error.get("details") if isinstance(error, dict) else None
    return [each for each in details if isinstance(each, dict)] if isinstance(details, list) else []


def _violations(body: bytes) -> list[dict[str, Any]]:
    found = (each.get("violations") for each in _details(body) if "QuotaFailure" in str(each.get("@type")))
    return [each for many in found if isinstance(many, list) for each in many if isinstance(each, dict)]


def _retry_delay_s(body: bytes) -> float | None:
    """Seconds of RetryInfo's `retryDelay`, `34.07s`."""
    for each in _details(body):
        delay = str(each.get("retryDelay", ""))
        if "RetryInfo" in str(each.get("@type")) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?s", delay):
            return float(delay[:-1])
    return None
