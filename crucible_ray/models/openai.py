"""OpenAI's chat completions, as OpenAI and the many compatible servers speak them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from crucible_ray.errors import ContentFiltered, MalformedReply
from crucible_ray.experiment.plan import CallPlan
from crucible_ray.models.reading import read
from crucible_ray.models.refusals import complaint, failure
from crucible_ray.models.transport import Response
from crucible_ray.models.wire import (
    FIXED_HEADERS,
    NO_ERROR,
    Count,
    address,
    encode,
    limit_a_minute,
    most,
    present,
    probability,
    refuse_reserved,
    whole,
)
from crucible_ray.records import Limits, Message, Reply, Usage

_PATH = "/chat/completions"
# Reasoning models of api.openai.com refuse `max_tokens`; many compatible servers know nothing else.
_REASONING = re.compile(r"(ft:)?(o\d|gpt-[5-9]|codex)")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_SURELY_NOT = -1e6
"""A logprob whose probability is no float any more; what a server may write below it has no sum."""
_MAX_TOKENS = ("max_completion_tokens", "max_tokens")


def url(base_url: str, model: str = "") -> str:
    """See Wire. The base ends in `/v1`, by the habit of OpenAI's own client."""
    parts = address(base_url)
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(_PATH) else path + _PATH, fragment=""))


def headers(key: str | None, base_url: str = "") -> dict[str, str]:
    """See Wire. Azure takes its keys under a name of its own."""
    if key is None:
        return FIXED_HEADERS
    if (urlsplit(base_url).hostname or "").endswith(".azure.com"):
        return FIXED_HEADERS | {"api-key": key}
    return FIXED_HEADERS | {"Authorization": f"Bearer {key}"}


def frame(call: CallPlan) -> tuple[bytes, bytes]:
    """See Wire."""
    refuse_reserved(call, ("model", "messages", "stream"))
    options: dict[str, Any] = {}
    if call.temperature is not None:
        options["temperature"] = call.temperature
    if call.max_tokens is not None and not call.extra.keys() & set(_MAX_TOKENS):
        options[max_tokens_name(call.model.base_url, call.model.model)] = call.max_tokens
    options.update(call.extra)
    head = b'{"model":' + encode(call.model.model) + b',"messages":'
    return head, b"," + encode(options)[1:] if options else b"}"


def turns(messages: Sequence[Message]) -> bytes:
    """See Wire."""
    return encode(messages)


def max_tokens_name(base_url: str, model: str) -> str:
    """The name under which the model takes its largest output."""
    if urlsplit(base_url).hostname == "api.openai.com" and _REASONING.match(model):
        return "max_completion_tokens"
    return "max_tokens"


def decode(response: Response, *, now_s: float, key: str | None = None) -> Reply:
    """See Wire."""
    if response.status != 200:
        raise failure(response, complaint(response.body), now_s, key)
    completion, unread = read(_completions, response, key)
    if present(completion.error):
        raise failure(response, complaint(response.body), now_s, key)
    if not completion.choices:
        raise unread or MalformedReply("the reply holds no choices", response.status)
    choice = completion.choices[0]
    if present(choice.error):
        raise failure(response, complaint(b'{"error":' + bytes(choice.error) + b"}"), now_s, key)
    if choice.message is None:
        raise unread or MalformedReply("the first choice holds no message", response.status)
    text = _text(choice.message)
    if not text and choice.finish_reason == "content_filter":
        raise ContentFiltered("the provider's filter withheld the answer", response.status)
    if not text and unread:
        raise unread
    return Reply(
        text=text,
        finish_reason=choice.finish_reason,
        usage=_usage(completion.usage),
        model_version=completion.model,
        confidence=_confidence(choice.logprobs),
    )


def limits_from(response: Response) -> Limits:
    """See Wire. What takes longer than a minute to recover is no limit a minute: Groq's and some of OpenAI's."""
    named = response.headers
    return Limits(
        requests_per_minute=_per_minute(named, "requests"), tokens_per_minute=_per_minute(named, "tokens")
    )


def largest_output(call: CallPlan) -> int | None:
    """See Wire."""
    asked = most(call.extra.get(name) for name in _MAX_TOKENS)
    largest = asked or call.max_tokens or call.model.max_output_tokens
    count = call.extra.get("n", 1)
    return largest * count if largest is not None and isinstance(count, int) else None


class _Part(Struct):
    text: str | None = None


class _Message(Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Token(Struct):
    logprob: float | None = None


class _Logprobs(Struct):
    content: list[_Token] | None = None


class _Choice(Struct):
    message: _Message | None = None
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None
    error: msgspec.Raw = NO_ERROR


class _PromptDetails(Struct):
    cached_tokens: Count = None
    cache_write_tokens: Count = None


class _CompletionDetails(Struct):
    reasoning_tokens: Count = None


class _Usage(Struct):
    prompt_tokens: Count = None
    completion_tokens: Count = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Completion(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: msgspec.Raw = NO_ERROR


_completions = msgspec.json.Decoder(_Completion)


def _text(message: _Message) -> str:
    content = message.content
    if isinstance(content, list):
        content = "".join(part.text or "" for part in content)
    return content or message.refusal or ""


def _confidence(logprobs: _Logprobs | None) -> float | None:
    """The geometric mean probability of the tokens; None where the reply does not say."""
    if logprobs is None or not logprobs.content:
        return None
    known = [
        max(min(token.logprob, 0.0), _SURELY_NOT)  # in this order what is not a number stays so
        for token in logprobs.content
        if token.logprob is not None
    ]
    return probability(math.fsum(known) / len(known)) if known else None


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input_tokens=whole(usage.prompt_tokens),
        output_tokens=whole(usage.completion_tokens),
        reasoning_tokens=whole(completion.reasoning_tokens) if completion else None,
        cached_tokens=whole(prompt.cached_tokens) if prompt else None,
        cache_write_tokens=whole(prompt.cache_write_tokens) if prompt else None,
    )


def _per_minute(headers: Mapping[str, str], what: str) -> float | None:
    recovers_s = _duration_s(headers.get(f"x-ratelimit-reset-{what}"))
    return limit_a_minute(headers.get(f"x-ratelimit-limit-{what}"), recovers_s)


def _duration_s(text: str | None) -> float | None:
    """Seconds of `6m0s`, `1.5s`, `120ms`; None where it is written otherwise."""
    match = _DURATION.fullmatch(text.strip()) if text else None
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds, millis = (float(group or 0) for group in match.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000
