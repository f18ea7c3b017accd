"""Anthropic's messages, as Anthropic and the servers that imitate it speak them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlunsplit

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from crucible_ray.errors import ContentFiltered, MalformedReply, SpecError
from crucible_ray.experiment.plan import CallPlan
from crucible_ray.models.reading import read
from crucible_ray.models.refusals import Complaint, complaint, failure
from crucible_ray.models.transport import Response
from crucible_ray.models.wire import (
    FIXED_HEADERS,
    NO_ERROR,
    Count,
    address,
    encode,
    limit_a_minute,
    most,
    parted,
    present,
    refuse_reserved,
    total,
    whole,
)
from crucible_ray.records import Limits, Message, Reply, Usage

VERSION = "2023-06-01"
_PATH = "/v1/messages"
_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "content_filter",
    "tool_use": "tool_calls",
}
_PARAM = re.compile(r"^([a-z][a-z_]*(?:\.\w+)*): |`([a-z][a-z_]*(?:\.\w+)*)`")


def url(base_url: str, model: str = "") -> str:
    """See Wire. The base does not end in `/v1`, by the habit of Anthropic's own client; one that does works too."""
    parts = address(base_url)
    path = parts.path.rstrip("/").removesuffix(_PATH).removesuffix("/v1")
    return urlunsplit(parts._replace(path=path + _PATH, fragment=""))


def headers(key: str | None, base_url: str = "") -> dict[str, str]:
    """See Wire."""
    fixed = FIXED_HEADERS | {"anthropic-version": VERSION}
    return fixed if key is None else fixed | {"x-api-key": key}


def frame(call: CallPlan) -> tuple[bytes, bytes]:
    """See Wire. Without `max_tokens`, which the format has to have, the model's largest output is sent."""
    refuse_reserved(call, ("model", "messages", "system", "stream"))
    largest = call.max_tokens if call.max_tokens is not None else call.model.max_output_tokens
    options: dict[str, Any] = {"max_tokens": largest}
    if call.temperature is not None:
        options["temperature"] = call.temperature
    options.update(call.extra)
    if options["max_tokens"] is None:
        raise SpecError(
            (
                f"{call.model.name}: Anthropic's format has to have max_tokens, and the largest output of "
                f"{call.model.model} is not known: set max_tokens, or max_output_tokens in its [models] table.",
            )
        )
    return b'{"model":' + encode(call.model.model) + b"," + encode(options)[1:-1] + b",", b"}"


def turns(messages: Sequence[Message]) -> bytes:
    """See Wire. An assistant turn at the end is the beginning of the answer, which may not end in white space."""
    system, said = parted(messages)
    if said and said[-1][0] == "assistant":
        said[-1][1][-1] = said[-1][1][-1].rstrip()
    content = [
        {
            "role": role,
            "content": texts[0] if len(texts) == 1 else [{"type": "text", "text": text} for text in texts],
        }
        for role, texts in said
    ]
    head = b'"messages":' if system is None else b'"system":' + encode(system) + b',"messages":'
    return head + encode(content)


def decode(response: Response, *, now_s: float, key: str | None = None) -> Reply:
    """See Wire."""
    if response.status != 200:
        raise failure(response, _complaint(response.body), now_s, key)
    message, unread = read(_messages, response, key)
    if message.type == "error" or present(message.error):
        raise failure(response, _complaint(response.body), now_s, key)
    if message.content is None:
        raise unread or MalformedReply("the reply holds no content", response.status)
    text = "".join(block.text or "" for block in message.content if block.type == "text")
    reason = _REASONS.get(message.stop_reason or "", message.stop_reason)
    if not text and reason == "content_filter":
        raise ContentFiltered("the provider's filter withheld the answer", response.status)
    if not text and unread:
        raise unread
    return Reply(text=text, finish_reason=reason, usage=_usage(message.usage), model_version=message.model)


def limits_from(response: Response) -> Limits:
    """See Wire. What takes longer than a minute to recover is no limit a minute."""
    named = response.headers
    return Limits(
        requests_per_minute=_per_minute(named, "requests"), tokens_per_minute=_per_minute(named, "tokens")
    )


def largest_output(call: CallPlan) -> int | None:
    """See Wire."""
    return most((call.extra.get("max_tokens", call.max_tokens),)) or call.model.max_output_tokens


class _Block(Struct):
    type: str = "text"
    text: str | None = None


class _OutputDetails(Struct):
    thinking_tokens: Count = None


class _Usage(Struct):
    input_tokens: Count = None
    output_tokens: Count = None
    cache_creation_input_tokens: Count = None
    cache_read_input_tokens: Count = None
    output_tokens_details: _OutputDetails | None = None


class _Message(Struct):
    type: str | None = None
    content: list[_Block] | None = None
    stop_reason: str | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: msgspec.Raw = NO_ERROR


_messages = msgspec.json.Decoder(_Message)


def _usage(usage: _Usage | None) -> Usage:
    """Anthropic counts what the cache read and what it wrote apart from `input_tokens`; here it is all input."""
    if usage is None:
        return Usage()
    fresh, details = usage.input_tokens, usage.output_tokens_details
    cached, written = usage.cache_read_input_tokens, usage.cache_creation_input_tokens
    return Usage(
        input_tokens=None if fresh is None else total(fresh, cached, written),
        output_tokens=whole(usage.output_tokens),
        reasoning_tokens=whole(details.thinking_tokens) if details else None,
        cached_tokens=whole(cached),
        cache_write_tokens=whole(written),
    )


def _complaint(body: bytes) -> Complaint:
    """Anthropic names the field in front of its message or in ticks: "`temperature` is deprecated for this model"."""
    said = complaint(body)
    if said.param is not None or said.kind != "invalid_request_error":
        return said
    found = _PARAM.search(said.message)
    return said if found is None else replace(said, param=found[1] or found[2])


def _per_minute(named: Mapping[str, str], what: str) -> float | None:
    recovers_s = _seconds_between(named.get("date"), named.get(f"anthropic-ratelimit-{what}-reset"))
    return limit_a_minute(named.get(f"anthropic-ratelimit-{what}-limit"), recovers_s)


def _seconds_between(sent: str | None, until: str | None) -> float | None:
    """From the server's `date` to a moment in RFC 3339; None where either is missing or written otherwise."""
    try:
        if sent is None or until is None:
            return None
        return (datetime.fromisoformat(until) - parsedate_to_datetime(sent)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
