"""Anthropic's messages, and what every error means."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from crucible_ray.errors import (
    Authentication,
    BadRequest,
    ContentFiltered,
    MalformedReply,
    ModelError,
    Overloaded,
    RateLimited,
    Refused,
    ServerError,
    SpecError,
)
from crucible_ray.experiment.plan import CallPlan
from crucible_ray.models import anthropic
from crucible_ray.models.transport import Response
from crucible_ray.records import Limits, Message, ModelRef, Reply, Usage

QUESTION = (Message("system", "Be brief."), Message("user", "2 + 2 = ?"))


def call(*, max_output_tokens: int | None = 64_000, **options: Any) -> CallPlan:
    ref = ModelRef(
        name="haiku",
        provider="anthropic",
        model="claude-haiku-4-5-20251001",
        base_url="https://api.anthropic.com",
        limit_group="m",
        max_output_tokens=max_output_tokens,
    )
    return CallPlan(model=ref, timeout_s=60.0, attempt_timeout_s=30.0, **options)


def body(plan: CallPlan, messages: tuple[Message, ...] = QUESTION) -> Any:
    head, tail = anthropic.frame(plan)
    return msgspec.json.decode(head + anthropic.turns(messages) + tail)


def response(said: Any, status: int = 200, **headers: str) -> Response:
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def message(*blocks: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "message",
        "role": "assistant",
        "content": list(blocks),
        "stop_reason": "end_turn",
        **more,
    }


def failure(said: Any, status: int = 200, key: str | None = None, **headers: str) -> ModelError:
    with pytest.raises(ModelError) as caught:
        anthropic.decode(response(said, status, **headers), now_s=0.0, key=key)
    return caught.value


def error(kind: str, words: str = "no") -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": words}, "request_id": "req_1"}


# Requests


def test_a_request_is_the_one_of_anthropics_reference() -> None:
    # https://docs.anthropic.com/en/api/messages, the first example, with a system prompt.
    plan = call(max_tokens=1024, temperature=1.0)
    assert body(plan, (Message("system", "Be brief."), Message("user", "Hello, world"))) == {
        "model": "claude-haiku-4-5-20251001",
        "max_tokens": 1024,
        "temperature": 1.0,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "Hello, world"}],
    }
    assert anthropic.url("https://api.anthropic.com") == "https://api.anthropic.com/v1/messages"
    sent = anthropic.headers("sk-ant-1")
    assert (sent["x-api-key"], sent["anthropic-version"]) == ("sk-ant-1", "2023-06-01")
    assert "Authorization" not in sent
    assert "x-api-key" not in anthropic.headers(None)


@pytest.mark.parametrize("base_url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/messages"])
def test_an_address_with_or_without_its_version_leads_to_messages(base_url: str) -> None:
    assert anthropic.url(base_url) == "http://h:1/v1/messages"


def test_without_max_tokens_the_models_largest_output_is_sent() -> None:
    assert body(call())["max_tokens"] == 64_000
    assert body(call(extra={"max_tokens": 7}))["max_tokens"] == 7
    with pytest.raises(SpecError, match="set max_tokens"):
        body(call(max_output_tokens=None))


def test_extra_goes_beside_the_other_options_in_any_order() -> None:
    thinking = {"type": "enabled", "budget_tokens": 1024}
    one = call(extra={"top_k": 1, "thinking": thinking})
    other = call(extra={"thinking": thinking, "top_k": 1})
    assert anthropic.frame(one) == anthropic.frame(other)
    assert body(one)["thinking"] == thinking


@pytest.mark.parametrize("name", ["model", "messages", "system", "stream"])
def test_extra_cannot_hold_what_the_format_needs_for_itself(name: str) -> None:
    with pytest.raises(SpecError, match=name):
        body(call(extra={name: True}))


def test_turns_take_turns_and_an_answer_begun_ends_in_no_white_space() -> None:
    said = body(
        call(),
        (
            Message("user", "1"),
            Message("user", "2"),
            Message("assistant", "so"),
            Message("system", "late"),
            Message("user", "3"),
            Message("assistant", "The answer is "),
        ),
    )
    assert said["system"] == "late"
    assert said["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "1"}, {"type": "text", "text": "2"}]},
        {"role": "assistant", "content": "so"},
        {"role": "user", "content": "3"},
        {"role": "assistant", "content": "The answer is"},
    ]
    assert "system" not in body(call(), (Message("user", "1"),))


# Replies


def test_a_reply_brings_text_reason_usage_and_version_and_leaves_thoughts_out() -> None:
    usage = {
        "input_tokens": 10,
        "cache_creation_input_tokens": 20,
        "cache_read_input_tokens": 30,
        "output_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 3},
        "service_tier": "standard",
    }
    said = message(
        {"type": "thinking", "thinking": "hm", "signature": "x"},
        {"type": "redacted_thinking", "data": "x"},
        {"type": "text", "text": "It is "},
        {"type": "text", "text": "4."},
        usage=usage,
        model="claude-haiku-4-5-20251001",
        id="msg_1",
        stop_sequence=None,
    )
    assert anthropic.decode(response(said), now_s=0.0) == Reply(
        text="It is 4.",
        finish_reason="stop",
        usage=Usage(
            input_tokens=60, output_tokens=7, reasoning_tokens=3, cached_tokens=30, cache_write_tokens=20
        ),
        model_version="claude-haiku-4-5-20251001",
    )


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "pause_turn"),
        ("refusal", "content_filter"),
        (None, None),
    ],
)
def test_why_it_stopped_is_said_in_our_words(theirs: str | None, ours: str | None) -> None:
    said = message({"type": "text", "text": "x"}, stop_reason=theirs)
    assert anthropic.decode(response(said), now_s=0.0).finish_reason == ours


def test_a_reply_whose_tokens_went_into_thinking_is_empty_and_cut() -> None:
    said = message({"type": "thinking", "thinking": "hm"}, stop_reason="max_tokens")
    reply = anthropic.decode(response(said), now_s=0.0)
    assert (reply.text, reply.finish_reason, reply.usage) == ("", "length", Usage())


def test_a_refusal_without_a_word_is_filtered() -> None:
    assert type(failure(message(stop_reason="refusal"))) is ContentFiltered


@pytest.mark.parametrize("said", [b"", b'{"content":[{"ty', b"[]", {}, {"type": "message"}, {"content": 5}])
def test_a_success_without_a_reply_is_malformed(said: Any) -> None:
    assert type(failure(said)) is MalformedReply


# Errors


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (401, error("authentication_error", "invalid x-api-key"), Authentication),
        (403, error("permission_error"), Authentication),
        (404, error("not_found_error", "model: claude-x"), Refused),
        (402, error("billing_error"), Refused),
        (400, error("invalid_request_error", "Your credit balance is too low to access the API"), Refused),
        (413, error("request_too_large"), BadRequest),
        (429, error("rate_limit_error"), RateLimited),
        (500, error("api_error"), ServerError),
        (504, error("timeout_error"), ServerError),
        (529, error("overloaded_error", "Overloaded"), Overloaded),
        (200, error("overloaded_error", "Overloaded"), Overloaded),
        (400, error("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), BadRequest),
        (
            400,
            error("invalid_request_error", "input length and `max_tokens` exceed context limit: 9 + 2 > 10"),
            BadRequest,
        ),
        (400, error("invalid_request_error", "messages.0.content: Field required"), BadRequest),
        (
            400,
            error("invalid_request_error", "messages: text content blocks must be non-empty"),
            BadRequest,
        ),
        (
            400,
            error("invalid_request_error", "temperature: Input should be less than or equal to 1"),
            Refused,
        ),
        (400, error("invalid_request_error", "max_tokens: 9 > 8, which is the maximum for claude"), Refused),
        (400, error("invalid_request_error", "tpo_p: Extra inputs are not permitted"), Refused),
        (
            400,
            error("invalid_request_error", "thinking.budget_tokens: Input should be at least 1024"),
            Refused,
        ),
        (
            400,
            error("invalid_request_error", "`temperature` and `top_p` cannot both be specified"),
            Refused,
        ),
        (
            400,
            error("invalid_request_error", "`temperature` may only be set to 1 when thinking is enabled."),
            Refused,
        ),
        (400, error("invalid_request_error", "`temperature` is deprecated for this model."), Refused),
        (
            400,
            error("invalid_request_error", "`max_tokens` must be greater than `thinking.budget_tokens`."),
            Refused,
        ),
        (
            400,
            error("invalid_request_error", "This model does not support assistant message prefill."),
            Refused,
        ),
    ],
)
def test_an_error_means_what_its_type_and_its_words_say(
    status: int, said: Any, kind: type[ModelError]
) -> None:
    found = failure(said, status)
    assert type(found) is kind
    assert found.status == status


def test_a_refusal_by_rate_says_when_to_come_back_and_never_shows_the_key() -> None:
    found = failure(error("rate_limit_error", "slow down sk-ant-1"), 429, key="sk-ant-1", retry_after="7")
    assert (found.retry_after_s, "sk-ant-1" in str(found)) == (7.0, False)


def test_headers_teach_limits_a_minute_and_no_others() -> None:
    sent = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-reset": "2026-11-18T10:26:50Z",
        "anthropic-ratelimit-tokens-limit": "40000",
        "anthropic-ratelimit-tokens-reset": "2026-11-19T10:26:40Z",
        "date": "Wed, 18 Nov 2026 10:26:40 GMT",
    }
    assert anthropic.limits_from(Response(429, sent, b"")) == Limits(requests_per_minute=50.0)
    bare = {"anthropic-ratelimit-tokens-limit": "40000", "anthropic-ratelimit-requests-limit": "many"}
    assert anthropic.limits_from(Response(429, bare, b"")) == Limits(tokens_per_minute=40_000.0)


def test_the_largest_output_is_what_is_asked_for() -> None:
    assert anthropic.largest_output(call()) == 64_000
    assert anthropic.largest_output(call(max_tokens=5)) == 5
    assert anthropic.largest_output(call(max_tokens=5, extra={"max_tokens": 9})) == 9
