"""The wire format of chat completions, and what every error means."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
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
from crucible_ray.models import openai
from crucible_ray.models.transport import Response
from crucible_ray.records import Limits, Message, ModelRef, Reply, Usage

OPENAI = "https://api.openai.com/v1"
LOCAL = "http://127.0.0.1:8000/v1"
QUESTION = (Message("system", "Be brief."), Message("user", "2 + 2 = ?"))
NOW_S = 1_794_997_600.0  # 2026-11-18, 10:26:40 GMT


def call(model: str = "m-1", base_url: str = LOCAL, **options: Any) -> CallPlan:
    ref = ModelRef(name="m", provider="openai", model=model, base_url=base_url, limit_group="m")
    return CallPlan(model=ref, timeout_s=60.0, attempt_timeout_s=30.0, **options)


def encode(plan: CallPlan, messages: Sequence[Message]) -> bytes:
    head, tail = openai.frame(plan)
    return head + openai.turns(messages) + tail


def response(body: Any, status: int = 200, **headers: str) -> Response:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Response(status, {name.replace("_", "-"): value for name, value in headers.items()}, data)


def completion(content: Any = "4", finish_reason: str | None = "stop", **more: Any) -> dict[str, Any]:
    message = {"role": "assistant", "content": content}
    return {"choices": [{"index": 0, "message": message, "finish_reason": finish_reason}], **more}


def failure(body: Any, status: int = 200, key: str | None = None, **headers: str) -> ModelError:
    with pytest.raises(ModelError) as caught:
        openai.decode(response(body, status, **headers), now_s=NOW_S, key=key)
    return caught.value


# Requests


def test_options_that_are_not_set_are_not_sent() -> None:
    assert msgspec.json.decode(encode(call(), QUESTION)) == {
        "model": "m-1",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2 + 2 = ?"}],
    }


def test_options_that_are_set_are_sent_and_extra_wins() -> None:
    plan = call(temperature=0.0, max_tokens=5, extra={"top_p": 0.5, "max_tokens": 7})
    body = msgspec.json.decode(encode(plan, QUESTION))
    assert {name: value for name, value in body.items() if name not in ("model", "messages")} == {
        "temperature": 0.0,
        "max_tokens": 7,
        "top_p": 0.5,
    }


def test_the_order_of_extra_does_not_change_the_body() -> None:
    one = call(extra={"a": 1, "b": {"x": 1, "y": 2}})
    other = call(extra={"b": {"y": 2, "x": 1}, "a": 1})
    assert encode(one, QUESTION) == encode(other, QUESTION)


@pytest.mark.parametrize("name", ["model", "messages", "stream"])
def test_extra_cannot_hold_what_the_format_needs_for_itself(name: str) -> None:
    with pytest.raises(SpecError, match=name):
        encode(call(extra={name: True}), QUESTION)


@pytest.mark.parametrize(
    ("model", "base_url", "name"),
    [
        ("o3-mini", OPENAI, "max_completion_tokens"),
        ("gpt-5-mini", OPENAI, "max_completion_tokens"),
        ("ft:o4-mini:us:1", OPENAI, "max_completion_tokens"),
        ("gpt-4o-mini", OPENAI, "max_tokens"),
        ("omni-1", OPENAI, "max_tokens"),
        ("o3-mini", LOCAL, "max_tokens"),
    ],
)
def test_max_tokens_goes_under_the_name_that_the_model_accepts(model: str, base_url: str, name: str) -> None:
    body = msgspec.json.decode(encode(call(model, base_url, max_tokens=9), QUESTION))
    assert body[name] == 9
    assert len({"max_tokens", "max_completion_tokens"} & body.keys()) == 1


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        (OPENAI, "https://api.openai.com/v1/chat/completions"),
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        ("http://h/v1/chat/completions", "http://h/v1/chat/completions"),
        ("https://h/v1?api-version=2", "https://h/v1/chat/completions?api-version=2"),
    ],
)
def test_the_address_is_the_base_and_the_path(base_url: str, url: str) -> None:
    assert openai.url(base_url) == url


@pytest.mark.parametrize("base_url", ["", "h/v1", "ftp://h", "http://user:pw@h/v1"])
def test_an_address_that_is_none_is_refused_without_showing_a_password(base_url: str) -> None:
    with pytest.raises(SpecError) as caught:
        openai.url(base_url)
    assert "pw" not in str(caught.value)


def test_the_key_goes_into_one_header() -> None:
    assert openai.headers("sk-1")["Authorization"] == "Bearer sk-1"
    assert "Authorization" not in openai.headers(None)
    assert openai.headers("sk-1", "https://mine.openai.azure.com/v1")["api-key"] == "sk-1"


# Replies


def test_a_reply_brings_text_reason_usage_and_version() -> None:
    usage = {
        "prompt_tokens": 12,
        "completion_tokens": 7,
        "total_tokens": 19,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0, "cache_write_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    body = completion(usage=usage, model="m-1-2026-01-01", id="x", object="chat.completion", created=1)
    assert openai.decode(response(body), now_s=NOW_S) == Reply(
        text="4",
        finish_reason="stop",
        usage=Usage(
            input_tokens=12, output_tokens=7, reasoning_tokens=5, cached_tokens=4, cache_write_tokens=2
        ),
        model_version="m-1-2026-01-01",
    )


def test_log_probabilities_become_the_mean_probability_of_a_token() -> None:
    tokens = [{"token": "4", "logprob": -0.2, "top_logprobs": []}, {"token": ".", "logprob": -0.4}]
    body = completion()
    body["choices"][0]["logprobs"] = {"content": tokens, "refusal": None}
    found = openai.decode(response(body), now_s=NOW_S).confidence
    assert found == pytest.approx(math.exp(-0.3))
    body["choices"][0]["logprobs"] = {"content": [{"logprob": -1e308}, {"logprob": -1e308}]}
    assert openai.decode(response(body), now_s=NOW_S).confidence == 0.0
    body["choices"][0]["logprobs"] = {"content": []}
    assert openai.decode(response(body), now_s=NOW_S).confidence is None
    assert openai.decode(response(completion()), now_s=NOW_S).confidence is None


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            completion([{"type": "text", "text": "a"}, {"type": "refusal"}, {"type": "text", "text": "b"}]),
            "ab",
        ),
        (completion(None, "length"), ""),
        (completion(""), ""),
        ({"choices": [{"message": {"content": None, "refusal": "I will not."}}]}, "I will not."),
        (completion("null"), "null"),
        (completion("half", "content_filter"), "half"),
        ({**completion(), "error": None}, "4"),
        ({**completion(), "error": {}}, "4"),
    ],
)
def test_text_is_found_in_every_form_of_content(body: dict[str, Any], text: str) -> None:
    assert openai.decode(response(body), now_s=NOW_S).text == text


def test_usage_that_is_missing_is_unknown_and_whole_floats_are_counts() -> None:
    assert openai.decode(response(completion()), now_s=NOW_S).usage == Usage()
    assert openai.decode(response(completion(usage=None)), now_s=NOW_S).usage == Usage()
    usage = openai.decode(response(completion(usage={"prompt_tokens": 3.0})), now_s=NOW_S).usage
    assert usage == Usage(input_tokens=3)
    assert isinstance(usage.input_tokens, int)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"choices":[{"mess',
        b"<html>gateway</html>",
        b"[]",
        b"\xff\xfe",
        b'{"choices":[{"message":{"content":"\xff"}}]}',
        {},
        {"choices": []},
        {"choices": [{}]},
        {"choices": "none"},
        completion(5),
    ],
)
def test_a_success_without_a_reply_is_malformed(body: Any) -> None:
    error = failure(body)
    assert type(error) is MalformedReply
    assert error.status == 200


def test_an_answer_that_the_filter_emptied_is_filtered() -> None:
    assert type(failure(completion("", "content_filter"))) is ContentFiltered


# Errors


def said(message: str = "no", **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


MEANINGS: list[tuple[int, Any, type[ModelError]]] = [
    (401, said("Incorrect API key provided", code="invalid_api_key"), Authentication),
    (403, said("no access"), Authentication),
    (400, said("API key not valid. Please pass a valid API key.", status="INVALID_ARGUMENT"), Authentication),
    (429, said("slow down", code="rate_limit_exceeded", type="requests"), RateLimited),
    (429, b"", RateLimited),
    (429, [said("quota", code=429, status="RESOURCE_EXHAUSTED")], RateLimited),
    (429, said("Request too large for m on tokens per min", code="rate_limit_exceeded"), BadRequest),
    (429, said("You exceeded your current quota", code="insufficient_quota"), Refused),
    (402, said("Insufficient Balance"), Refused),
    (503, b"<html>busy</html>", Overloaded),
    (503, said("try later", type="server_error"), Overloaded),
    (529, said("Overloaded", type="overloaded_error"), Overloaded),
    (500, said("oops", type="server_error"), ServerError),
    (502, b"Bad gateway", ServerError),
    (504, {}, ServerError),
    (408, b"", ServerError),
    (400, said("no such parameter", code="unsupported_parameter", param="max_tokens"), Refused),
    (400, said("0.7 is not supported", code="unsupported_value", param="temperature"), Refused),
    (400, said("Invalid 'top_p'", code="decimal_above_max_value", param="top_p"), Refused),
    (400, said("Unrecognized request argument supplied: tpo_p", type="invalid_request_error"), Refused),
    (400, said("Invalid model id"), Refused),
    (404, said("The model `x` does not exist", code="model_not_found"), Refused),
    (404, b"404 page not found", Refused),
    (404, {"error": "model 'x' not found"}, Refused),
    (403, said("Project p does not have access to model x", code="model_not_found"), Refused),
    (405, b"", Refused),
    (308, b"", Refused),
    (422, {"detail": [{"loc": ["body", "temperature"], "msg": "must be a number"}]}, Refused),
    (422, {"detail": [{"loc": ["body", "messages", 0], "msg": "must be a string"}]}, BadRequest),
    (422, {"detail": "cannot be processed"}, BadRequest),
    (400, said("too long", code="context_length_exceeded", param="messages"), BadRequest),
    (400, said("This model's maximum context length is 10 tokens", param="max_tokens"), BadRequest),
    (400, {"object": "error", "message": "strange", "type": "BadRequestError", "code": 400}, BadRequest),
    (400, said("Invalid image", param="messages[0].content"), BadRequest),
    (404, said("no reply to this item was recorded", code="reply_not_recorded"), BadRequest),
    (413, b"", BadRequest),
    (400, said("filtered", code="content_filter", param="prompt"), ContentFiltered),
    (400, said("no", code="content_policy_violation"), ContentFiltered),
    (403, said("Your input was flagged by moderation"), ContentFiltered),
    # Inside a success
    (200, said("slow down", code="rate_limit_exceeded"), RateLimited),
    (200, said("slow down", code=429), RateLimited),
    (200, said("Overloaded", type="overloaded_error"), Overloaded),
    (200, said("Provider returned error", code=503), Overloaded),
    (200, said("Provider returned error", code=502), ServerError),
    (200, said("what", type="strange"), ServerError),
    (200, {"error": "exploded"}, ServerError),
    (200, said("key", code=401), Authentication),
    (200, said("too long", code="context_length_exceeded"), BadRequest),
    (200, said("bad temperature", type="invalid_request_error", param="temperature"), Refused),
    (200, said("no", code="content_filter"), ContentFiltered),
    (200, said("broke", code="insufficient_quota"), Refused),
    (200, {"choices": [{"finish_reason": "error", "error": {"code": 429, "message": "slow"}}]}, RateLimited),
]


@pytest.mark.parametrize(("status", "body", "kind"), MEANINGS, ids=[f"{m[0]}-{m[2].kind}" for m in MEANINGS])
def test_an_error_means(status: int, body: Any, kind: type[ModelError]) -> None:
    error = failure(body, status)
    assert type(error) is kind
    assert error.status == status
    assert error.detail


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "0.5"}, 0.5),
        ({"retry_after": "-3"}, 0.0),
        ({"retry_after": "nan"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": "Wed, 18 Nov 2026 10:26:50 GMT"}, 10.0),
        ({"retry_after": "Wed, 18 Nov 2026 10:26:00 GMT"}, 0.0),
        ({"retry_after": "Wed, 18 Nov 2026 08:00:09 GMT", "date": "Wed, 18 Nov 2026 08:00:00 GMT"}, 9.0),
    ],
)
def test_how_long_to_wait_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert failure(said(), 429, **headers).retry_after_s == seconds
    assert failure(said(), 503, **headers).retry_after_s == seconds


def test_a_detail_is_one_short_line_without_the_key() -> None:
    key = "sk-abcdefghijklmnop"
    error = failure(said(f"Incorrect key:\n {key}. " + "x" * 1000), 401, key=key)
    assert key not in str(error)
    assert error.detail.startswith("Incorrect key: [key]. xxx")
    assert len(error.detail) == 300


def test_a_key_masked_by_the_provider_is_not_shown_either() -> None:
    error = failure(said("Incorrect API key provided: sk-ab********op. Find yours at x."), 401)
    assert error.detail == "Incorrect API key provided: [key] Find yours at x."


def test_a_key_cut_by_shortening_is_not_shown() -> None:
    key = "sk-abcdefghijklmnop"
    assert "sk-a" not in failure(said("y" * 295 + key), 401, key=key).detail


# Limits


@pytest.mark.parametrize(
    ("headers", "limits"),
    [
        ({}, Limits()),
        (
            {"x-ratelimit-limit-requests": "500", "x-ratelimit-limit-tokens": "200000"},
            Limits(requests_per_minute=500.0, tokens_per_minute=200000.0),
        ),
        (
            {"x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": "1s"},
            Limits(requests_per_minute=60.0),
        ),
        (
            {"x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": "120ms"},
            Limits(requests_per_minute=60.0),
        ),
        (
            {"x-ratelimit-limit-requests": "60", "x-ratelimit-reset-requests": "1m0s"},
            Limits(requests_per_minute=60.0),
        ),
        ({"x-ratelimit-limit-requests": "14400", "x-ratelimit-reset-requests": "2m59.56s"}, Limits()),
        ({"x-ratelimit-limit-requests": "9", "x-ratelimit-reset-requests": "1h0m0s"}, Limits()),
        (
            {"x-ratelimit-limit-requests": "9", "x-ratelimit-reset-requests": "1.2.3s"},
            Limits(requests_per_minute=9.0),
        ),
        ({"x-ratelimit-limit-requests": "many"}, Limits()),
        ({"x-ratelimit-limit-requests": "0"}, Limits()),
    ],
)
def test_headers_teach_limits_a_minute_and_no_others(headers: dict[str, str], limits: Limits) -> None:
    assert openai.limits_from(Response(429, headers, b"")) == limits
