"""Google's generateContent, and what every error means."""

from __future__ import annotations

import json
import math
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
from crucible_ray.models import google
from crucible_ray.models.transport import Response
from crucible_ray.records import Limits, Message, ModelRef, Reply, Usage

BASE = "https://generativelanguage.googleapis.com"
QUESTION = (Message("system", "Be brief."), Message("user", "2 + 2 = ?"))
RPC = "type.googleapis.com/google.rpc."


def call(**options: Any) -> CallPlan:
    ref = ModelRef(
        name="flash",
        provider="google",
        model="gemini-2.5-flash",
        base_url=BASE,
        limit_group="m",
        max_output_tokens=65_536,
    )
    return CallPlan(model=ref, timeout_s=60.0, attempt_timeout_s=30.0, **options)


def body(plan: CallPlan, messages: tuple[Message, ...] = QUESTION) -> Any:
    head, tail = google.frame(plan)
    return msgspec.json.decode(head + google.turns(messages) + tail)


def response(said: Any, status: int = 200) -> Response:
    return Response(status, {}, said if isinstance(said, bytes) else json.dumps(said).encode())


def answer(*texts: str, reason: str | None = "STOP", **more: Any) -> dict[str, Any]:
    parts = [{"text": text} for text in texts]
    return {"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason}], **more}


def failure(said: Any, status: int = 200, key: str | None = None) -> ModelError:
    with pytest.raises(ModelError) as caught:
        google.decode(response(said, status), now_s=0.0, key=key)
    return caught.value


def error(status: str, words: str = "no", *details: dict[str, Any], code: int = 400) -> dict[str, Any]:
    return {"error": {"code": code, "message": words, "status": status, "details": list(details)}}


def quota(name: str, value: str = "10") -> dict[str, Any]:
    return {"@type": f"{RPC}QuotaFailure", "violations": [{"quotaId": name, "quotaValue": value}]}


# Requests


def test_a_request_is_the_one_of_googles_reference() -> None:
    # https://ai.google.dev/gemini-api/docs/text-generation, with a system instruction and its options.
    plan = call(max_tokens=800, temperature=1.0, extra={"stop_sequences": ["Title"], "topP": 0.8, "topK": 10})
    assert body(plan) == {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "contents": [{"role": "user", "parts": [{"text": "2 + 2 = ?"}]}],
        "generationConfig": {
            "stopSequences": ["Title"],
            "temperature": 1.0,
            "maxOutputTokens": 800,
            "topP": 0.8,
            "topK": 10,
        },
    }
    assert google.url(BASE, "gemini-2.5-flash") == (f"{BASE}/v1beta/models/gemini-2.5-flash:generateContent")
    assert google.headers("AIza-1")["x-goog-api-key"] == "AIza-1"
    assert "x-goog-api-key" not in google.headers(None)


def test_options_that_are_not_set_are_not_sent() -> None:
    assert body(call(), (Message("user", "?"),)) == {"contents": [{"role": "user", "parts": [{"text": "?"}]}]}


def test_every_key_of_extra_goes_where_it_belongs() -> None:
    extra = {
        "thinking_config": {"thinkingBudget": 0},
        "safety_settings": [{"category": "c", "threshold": "BLOCK_NONE"}],
        "generationConfig": {"seed": 1, "topP": 0.5},
        "topP": 0.7,
        "unheard_of": 1,
    }
    said = body(call(temperature=0.0, extra=extra))
    assert said["safetySettings"] == [{"category": "c", "threshold": "BLOCK_NONE"}]
    assert said["generationConfig"] == {
        "temperature": 0.0,
        "thinkingConfig": {"thinkingBudget": 0},
        "seed": 1,
        "topP": 0.7,
        "unheardOf": 1,
    }
    assert google.frame(call(extra=extra)) == google.frame(call(extra=dict(reversed(extra.items()))))


@pytest.mark.parametrize("name", ["model", "contents", "system_instruction", "systemInstruction"])
def test_extra_cannot_hold_what_the_format_needs_for_itself(name: str) -> None:
    with pytest.raises(SpecError, match=r"extra cannot hold"):
        body(call(extra={name: True}))


@pytest.mark.parametrize("base", ["http://h:1", "http://h:1/v1beta/", "http://h:1/v1"])
def test_an_address_with_or_without_its_version_leads_to_the_model(base: str) -> None:
    assert google.url(base, "g") == "http://h:1/v1beta/models/g:generateContent"
    assert google.url(base, "tunedModels/t 1") == "http://h:1/v1beta/tunedModels/t%201:generateContent"


def test_turns_take_turns_under_googles_roles() -> None:
    said = body(
        call(),
        (Message("user", "1"), Message("user", "2"), Message("assistant", "so"), Message("user", "3")),
    )
    assert said["contents"] == [
        {"role": "user", "parts": [{"text": "1"}, {"text": "2"}]},
        {"role": "model", "parts": [{"text": "so"}]},
        {"role": "user", "parts": [{"text": "3"}]},
    ]


# Replies


def test_a_reply_brings_text_reason_usage_version_and_confidence_and_leaves_thoughts_out() -> None:
    parts = [{"text": "hm", "thought": True}, {"text": "It is "}, {"text": "4."}]
    said = {
        "candidates": [
            {
                "content": {"role": "model", "parts": parts},
                "finishReason": "STOP",
                "avgLogprobs": -0.5,
                "index": 0,
            }
        ],
        "usageMetadata": {
            "promptTokenCount": 12,
            "cachedContentTokenCount": 4,
            "candidatesTokenCount": 7,
            "thoughtsTokenCount": 90,
            "totalTokenCount": 109,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 12}],
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r",
    }
    assert google.decode(response(said), now_s=0.0) == Reply(
        text="It is 4.",
        finish_reason="stop",
        usage=Usage(input_tokens=12, output_tokens=97, reasoning_tokens=90, cached_tokens=4),
        model_version="gemini-2.5-flash",
        confidence=math.exp(-0.5),
    )


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("OTHER", "other"),
        (None, None),
    ],
)
def test_why_it_stopped_is_said_in_our_words(theirs: str | None, ours: str | None) -> None:
    assert google.decode(response(answer("x", reason=theirs)), now_s=0.0).finish_reason == ours


def test_a_reply_whose_tokens_went_into_thinking_is_empty_and_cut() -> None:
    said = {
        "candidates": [{"content": {"role": "model"}, "finishReason": "MAX_TOKENS"}],
        "usageMetadata": {"promptTokenCount": 3, "thoughtsTokenCount": 50, "totalTokenCount": 53},
    }
    reply = google.decode(response(said), now_s=0.0)
    assert (reply.text, reply.finish_reason) == ("", "length")
    assert reply.usage == Usage(input_tokens=3, output_tokens=50, reasoning_tokens=50)


@pytest.mark.parametrize(
    "said",
    [
        answer(reason="SAFETY"),
        {"candidates": [{"finishReason": "RECITATION"}]},
        {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 1}},
    ],
)
def test_an_answer_that_a_filter_withheld_is_filtered(said: Any) -> None:
    assert type(failure(said)) is ContentFiltered


@pytest.mark.parametrize(
    "said", [b"", b'{"candidates":[{"con', b"[]", {}, {"candidates": []}, {"candidates": 5}]
)
def test_a_success_without_a_reply_is_malformed(said: Any) -> None:
    assert type(failure(said)) is MalformedReply


# Errors


@pytest.mark.parametrize(
    ("status", "said", "kind"),
    [
        (400, error("INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."), Authentication),
        (403, error("PERMISSION_DENIED"), Authentication),
        (404, error("NOT_FOUND", "models/x is not found for API version v1beta"), Refused),
        (400, error("FAILED_PRECONDITION", "User location is not supported for the API use."), Refused),
        (
            400,
            error(
                "INVALID_ARGUMENT",
                "Invalid JSON payload received. Unknown name \"tpoP\" at 'generation_config'",
            ),
            Refused,
        ),
        (
            400,
            error(
                "INVALID_ARGUMENT",
                "* GenerateContentRequest.generation_config.temperature: must be in [0.0, 2.0]",
            ),
            Refused,
        ),
        (
            400,
            error(
                "INVALID_ARGUMENT",
                "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            ),
            BadRequest,
        ),
        (
            400,
            error("INVALID_ARGUMENT", "* GenerateContentRequest.contents: contents is not specified"),
            BadRequest,
        ),
        (429, error("RESOURCE_EXHAUSTED", "You exceeded your current quota"), RateLimited),
        (429, error("RESOURCE_EXHAUSTED", "no", quota("GenerateRequestsPerDayPerProject")), Refused),
        (500, error("INTERNAL"), ServerError),
        (503, error("UNAVAILABLE", "The model is overloaded."), Overloaded),
        (504, error("DEADLINE_EXCEEDED"), ServerError),
        (200, error("UNAVAILABLE"), Overloaded),
        (502, b"<html>", ServerError),
    ],
)
def test_an_error_means_what_its_status_and_its_words_say(
    status: int, said: Any, kind: type[ModelError]
) -> None:
    found = failure(said, status)
    assert type(found) is kind
    assert found.status == status


def test_a_refusal_by_rate_says_when_to_come_back_and_what_the_limit_is() -> None:
    delay = {"@type": f"{RPC}RetryInfo", "retryDelay": "34.07s"}
    said = error("RESOURCE_EXHAUSTED", "slow AIza-1", quota("GenerateRequestsPerMinutePerProject"), delay)
    found = failure(said, 429, key="AIza-1")
    assert (found.retry_after_s, "AIza-1" in str(found)) == (34.07, False)
    assert google.limits_from(response(said, 429)) == Limits(requests_per_minute=10.0)
    tokens = error("RESOURCE_EXHAUSTED", "no", quota("GenerateContentInputTokensPerModelPerMinute", "250000"))
    assert google.limits_from(response(tokens, 429)) == Limits(tokens_per_minute=250_000.0)
    assert failure(tokens, 429).retry_after_s is None
    assert google.limits_from(response(b"<html>", 429)) == Limits()


def test_the_largest_output_counts_every_candidate() -> None:
    assert google.largest_output(call()) == 65_536
    assert google.largest_output(call(max_tokens=5)) == 5
    assert google.largest_output(call(max_tokens=5, extra={"candidate_count": 3})) == 15
    assert google.largest_output(call(extra={"generationConfig": {"maxOutputTokens": 9}})) == 9
