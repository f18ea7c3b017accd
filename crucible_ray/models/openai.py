"""OpenAI's chat completions, as OpenAI and the many compatible servers speak them.

Requests and replies only; no connection, no clock. What a failure means is decided by `refusals`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from crucible_ray.errors import ContentFiltered, MalformedReply, ModelError, SpecError
from crucible_ray.experiment.plan import CallPlan
from crucible_ray.models.refusals import Complaint, classify, retry_after_s, shorten
from crucible_ray.models.transport import Response
from crucible_ray.records import Limits, Message, Reply, Usage

_PATH = "/chat/completions"
# Reasoning models of api.openai.com refuse `max_tokens`; many compatible servers know nothing else.
_REASONING = re.compile(r"(ft:)?(o\d|gpt-[5-9]|codex)")
_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m(?!s))?(?:([\d.]+)s)?(?:([\d.]+)ms)?")
_MINUTE_S = 60.0
_READ = 2000
"""Bytes of an error body that is not JSON."""

_encoder = msgspec.json.Encoder(order="deterministic")


def url(base_url: str) -> str:
    """Where completions are asked for. Raises SpecError where `base_url` is no address or holds a user."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SpecError(("base_url has to begin with http:// or https:// and name a host.",))
    if parts.username is not None:
        raise SpecError(
            (f"The base_url at {parts.hostname} holds a user name: put the key into its variable.",)
        )
    path = parts.path.rstrip("/")
    return urlunsplit(parts._replace(path=path if path.endswith(_PATH) else path + _PATH, fragment=""))


def headers(key: str | None, base_url: str = "") -> dict[str, str]:
    """The headers of every request; Azure takes its keys under a name of its own."""
    fixed = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "crucible-ray"}
    if key is None:
        return fixed
    if (urlsplit(base_url).hostname or "").endswith(".azure.com"):
        return fixed | {"api-key": key}
    return fixed | {"Authorization": f"Bearer {key}"}


def frame(call: CallPlan) -> tuple[bytes, bytes]:
    """What stands before and after the messages in every body of `call`.

    Options that are not set are not sent. Keys of `extra` win; their order does not matter.
    Raises SpecError for keys of `extra` that cannot be sent.
    """
    reserved = sorted({"model", "messages", "stream"} & call.extra.keys())
    if reserved:
        raise SpecError((f"{call.model.name}: extra cannot hold {', '.join(reserved)}.",))
    options: dict[str, Any] = {}
    if call.temperature is not None:
        options["temperature"] = call.temperature
    if call.max_tokens is not None:
        options[max_tokens_name(call.model.base_url, call.model.model)] = call.max_tokens
    options.update(call.extra)
    head = b'{"model":' + _encoder.encode(call.model.model) + b',"messages":'
    return head, b"," + _encoder.encode(options)[1:] if options else b"}"


def encode(call: CallPlan, messages: Sequence[Message]) -> bytes:
    """The body of one request: the same bytes for the same question."""
    head, tail = frame(call)
    return head + _encoder.encode(messages) + tail


def max_tokens_name(base_url: str, model: str) -> str:
    """The name under which the model takes its largest output."""
    if urlsplit(base_url).hostname == "api.openai.com" and _REASONING.match(model):
        return "max_completion_tokens"
    return "max_tokens"


def decode(response: Response, *, now_s: float, key: str | None = None) -> Reply:
    """The reply, or a ModelError that says what went wrong.

    now_s: seconds since 1970, for a Retry-After that is a date and a server that sends none of its own.
    key: never shown in an error, even if the server repeats it.
    """
    if response.status != 200:
        raise _failure(response, _complaint(response.body), now_s, key)
    try:
        completion = _completions.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise MalformedReply(f"the body is no reply: {shorten(str(error), key)}", response.status) from None
    if _present(completion.error):
        raise _failure(response, _complaint(response.body), now_s, key)
    if not completion.choices:
        raise MalformedReply("the reply holds no choices", response.status)
    return _reply(completion, completion.choices[0], response, now_s, key)


def limits_from(headers: Mapping[str, str]) -> Limits:
    """What the headers of a response say about limits a minute; None where they mean a day, or nothing.

    What takes longer than a minute to recover is no limit a minute (Groq's and some of OpenAI's count days).
    """
    return Limits(
        requests_per_minute=_per_minute(headers, "requests"), tokens_per_minute=_per_minute(headers, "tokens")
    )


_Count: TypeAlias = int | float | None
"""Some servers write whole numbers as 12.0."""
_NO_ERROR = msgspec.Raw()


class _Part(Struct):
    text: str | None = None


class _Message(Struct):
    content: str | list[_Part] | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _Message | None = None
    finish_reason: str | None = None
    error: msgspec.Raw = _NO_ERROR


class _PromptDetails(Struct):
    cached_tokens: _Count = None


class _CompletionDetails(Struct):
    reasoning_tokens: _Count = None


class _Usage(Struct):
    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None


class _Completion(Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    model: str | None = None
    error: msgspec.Raw = _NO_ERROR


_completions = msgspec.json.Decoder(_Completion)


def _reply(
    completion: _Completion, choice: _Choice, response: Response, now_s: float, key: str | None
) -> Reply:
    if _present(choice.error):
        raise _failure(response, _complaint(b'{"error":' + bytes(choice.error) + b"}"), now_s, key)
    message = choice.message
    if message is None:
        raise MalformedReply("the first choice holds no message", response.status)
    content = message.content
    if isinstance(content, list):
        content = "".join(part.text or "" for part in content)
    text = content or message.refusal or ""
    if not text and choice.finish_reason == "content_filter":
        raise ContentFiltered("the provider's filter withheld the answer", response.status)
    return Reply(
        text=text,
        finish_reason=choice.finish_reason,
        usage=_usage(completion.usage),
        model_version=completion.model,
    )


def _present(error: msgspec.Raw) -> bool:
    """Some servers send an empty error with every reply."""
    return error is not _NO_ERROR and bytes(error) not in (b"null", b"{}", b'""', b"false")


def _usage(usage: _Usage | None) -> Usage:
    if usage is None:
        return Usage()
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return Usage(
        input_tokens=_whole(usage.prompt_tokens),
        output_tokens=_whole(usage.completion_tokens),
        reasoning_tokens=_whole(completion.reasoning_tokens) if completion else None,
        cached_tokens=_whole(prompt.cached_tokens) if prompt else None,
    )


def _whole(count: _Count) -> int | None:
    return int(count) if count is not None else None


def _failure(response: Response, complaint: Complaint, now_s: float, key: str | None) -> ModelError:
    kind, detail = classify(response.status, complaint)
    return kind(shorten(detail, key), response.status, retry_after_s(response.headers, now_s))


def _complaint(body: bytes) -> Complaint:
    """An error body of whatever shape: OpenAI's object, a string, FastAPI's `detail`, Google's list, HTML."""
    try:
        whole = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Complaint(message=body[:_READ].decode("utf-8", "replace"))
    if isinstance(whole, list) and whole:
        whole = whole[0]
    if not isinstance(whole, dict):
        return Complaint(message=str(whole))
    error = whole.get("error") or whole
    if not isinstance(error, dict):
        return Complaint(message=str(error))
    detail = error.get("detail")
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        place = [str(each) for each in detail[0].get("loc", []) if each != "body"]
        return Complaint(message=str(detail[0].get("msg", "")), param=".".join(place) or None)
    code, kind, param = error.get("code"), error.get("type") or error.get("status"), error.get("param")
    return Complaint(
        message=str(error.get("message") or detail or error),
        code=str(code) if code is not None else None,
        kind=str(kind) if kind is not None else None,
        param=str(param) if param is not None else None,
    )


def _per_minute(headers: Mapping[str, str], what: str) -> float | None:
    limit = _number(headers.get(f"x-ratelimit-limit-{what}"))
    if limit is None or limit <= 0:
        return None
    recovers_s = _duration_s(headers.get(f"x-ratelimit-reset-{what}"))
    return limit if recovers_s is None or recovers_s <= _MINUTE_S else None


def _number(text: str | None) -> float | None:
    return float(text) if text is not None and re.fullmatch(r"\d+(\.\d+)?", text.strip()) else None


def _duration_s(text: str | None) -> float | None:
    """Seconds of `6m0s`, `1.5s`, `120ms`; None where it is written otherwise."""
    match = _DURATION.fullmatch(text.strip()) if text else None
    if match is None or not any(match.groups()):
        return None
    hours, minutes, seconds, millis = (float(group or 0) for group in match.groups())
    return hours * 3600 + minutes * 60 + seconds + millis / 1000
