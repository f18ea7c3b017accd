"""A reply that is paid for is kept where its text can be read, whatever stands beside the text, in every format."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from crucible_ray.errors import ContentFiltered, MalformedReply, ModelError, ServerError
from crucible_ray.models.endpoint import WIRES
from crucible_ray.models.transport import Response
from crucible_ray.records import Reply, Usage

FORMATS = ("openai", "anthropic", "google")
COUNTS = {
    "openai": ("usage", "prompt_tokens", "completion_tokens"),
    "anthropic": ("usage", "input_tokens", "output_tokens"),
    "google": ("usageMetadata", "promptTokenCount", "candidatesTokenCount"),
}
"""By format: the table, the tokens in, the tokens out."""
ODD = (5, 2.5, True, "odd", [1], {"an": "object"})
"""What can stand where something else belongs."""


def body(provider: str, text: Any = "4", *, reason: Any = None, parts: Any = None, **more: Any) -> Any:
    """A reply as the provider writes it."""
    if provider == "google":
        content = {"parts": [{"text": text}] if parts is None else parts}
        return {"candidates": [{"content": content, "finishReason": reason}], **more}
    if provider == "anthropic":
        blocks = [{"type": "text", "text": text}] if parts is None else parts
        return {"content": blocks, "stop_reason": reason, **more}
    message = {"content": text if parts is None else parts}
    return {"choices": [{"message": message, "finish_reason": reason}], **more}


def decode(provider: str, said: Any) -> Reply:
    data = said if isinstance(said, bytes) else json.dumps(said).encode()
    return WIRES[provider].decode(Response(200, {}, data), now_s=0.0)


def failure(provider: str, said: Any) -> ModelError:
    with pytest.raises(ModelError) as caught:
        decode(provider, said)
    return caught.value


@pytest.mark.parametrize("provider", FORMATS)
@pytest.mark.parametrize("value", ODD)
@pytest.mark.parametrize(
    "field", ["usage", "usageMetadata", "model", "modelVersion", "promptFeedback", "type", "id"]
)
def test_an_odd_field_beside_the_text_costs_no_reply(provider: str, field: str, value: Any) -> None:
    assert decode(provider, body(provider, **{field: value})).text == "4"


@pytest.mark.parametrize("provider", FORMATS)
@pytest.mark.parametrize("value", [5, 2.5, True, [1], {"an": "object"}])
def test_a_finish_reason_that_is_no_word_is_unknown(provider: str, value: Any) -> None:
    reply = decode(provider, body(provider, reason=value))
    assert (reply.text, reply.finish_reason) == ("4", None)


@pytest.mark.parametrize("provider", FORMATS)
@pytest.mark.parametrize(
    ("count", "known"),
    [
        ("12", 12),
        ("12.0", 12),
        (12.0, 12),
        (12.5, None),
        (True, None),
        ("many", None),
        ("", None),
        ("nan", None),
        ("-3", None),
        ([12], None),
        ({"total": 12}, None),
        (math.nan, None),
        (math.inf, None),
    ],
)
def test_an_odd_count_is_the_number_it_writes_or_unknown(
    provider: str, count: Any, known: int | None
) -> None:
    table, given, made = COUNTS[provider]
    reply = decode(provider, body(provider, **{table: {given: count, made: 7}}))
    assert (reply.text, reply.usage) == ("4", Usage(input_tokens=known, output_tokens=7))
    reply = decode(provider, body(provider, **{table: {given: 7, made: count}}))
    assert (reply.text, reply.usage) == ("4", Usage(input_tokens=7, output_tokens=known))


@pytest.mark.parametrize("odd", [True, "many", -5, [1]])
def test_a_sum_with_an_odd_count_is_unknown_and_not_less(odd: Any) -> None:
    cached = {"input_tokens": 5, "cache_read_input_tokens": odd, "output_tokens": 1}
    assert decode("anthropic", body("anthropic", usage=cached)).usage == Usage(output_tokens=1)
    thought = {"promptTokenCount": 5, "candidatesTokenCount": 3, "thoughtsTokenCount": odd}
    assert decode("google", body("google", usageMetadata=thought)).usage == Usage(input_tokens=5)


@pytest.mark.parametrize("value", ODD)
def test_details_of_a_count_that_are_odd_are_unknown(value: Any) -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "prompt_tokens_details": value}
    assert decode("openai", body("openai", usage=usage)).usage == Usage(input_tokens=5, output_tokens=3)
    usage = {"input_tokens": 5, "output_tokens": 3, "output_tokens_details": value}
    assert decode("anthropic", body("anthropic", usage=usage)).usage == Usage(input_tokens=5, output_tokens=3)


@pytest.mark.parametrize("provider", FORMATS)
def test_a_part_of_an_unknown_kind_is_passed_over(provider: str) -> None:
    odd = [{"type": "chart", "text": {"bars": [1, 2]}}, "loose", None, 7]
    parts = [*odd[:1], {"type": "text", "text": "4"}, *odd[1:]]
    assert decode(provider, body(provider, parts=parts)).text == "4"
    assert failure(provider, body(provider, parts=odd)).kind == "malformed"


@pytest.mark.parametrize(
    ("logprobs", "confidence"),
    [
        ("odd", None),
        ([-0.5], None),
        ({"content": "odd"}, None),
        ({"content": [{"logprob": "-0.5"}]}, math.exp(-0.5)),
        ({"content": [{"logprob": "odd"}, {"logprob": -0.5}]}, None),
        ({"content": [{"logprob": math.nan}, {"logprob": -0.5}]}, None),
        ({"content": [{"logprob": -math.inf}]}, 0.0),
    ],
)
def test_odd_logprobs_leave_the_confidence_unknown(logprobs: Any, confidence: float | None) -> None:
    said = body("openai")
    said["choices"][0]["logprobs"] = logprobs
    assert decode("openai", said) == Reply(text="4", confidence=confidence)


@pytest.mark.parametrize(
    ("mean", "confidence"), [("odd", None), ([1], None), (math.nan, None), ("-0.5", math.exp(-0.5))]
)
def test_an_odd_mean_logprob_leaves_the_confidence_unknown(mean: Any, confidence: float | None) -> None:
    said = body("google")
    said["candidates"][0]["avgLogprobs"] = mean
    assert decode("google", said) == Reply(text="4", confidence=confidence)


@pytest.mark.parametrize("provider", FORMATS)
@pytest.mark.parametrize(
    ("written", "text"),
    [
        (rb"cut \ud83d", "cut \ufffd"),
        (rb"cut \ude00 low", "cut \ufffd low"),
        (rb"whole \ud83d\ude00", "whole \U0001f600"),
        (b"line\nbreak", "line\nbreak"),
    ],
)
def test_a_text_that_json_forbids_but_that_can_be_read_is_kept(
    provider: str, written: bytes, text: str
) -> None:
    data = json.dumps(body(provider, "TEXT")).encode().replace(b"TEXT", written)
    assert decode(provider, data).text == text
    assert decode(provider, b"\xef\xbb\xbf" + data).text == text


@pytest.mark.parametrize("provider", FORMATS)
@pytest.mark.parametrize("text", [5, 2.5, True, {"an": "object"}])
def test_a_reply_whose_text_cannot_be_read_is_malformed(provider: str, text: Any) -> None:
    said = failure(provider, body(provider, text, reason="length"))
    assert isinstance(said, MalformedReply)
    assert "Expected" in said.detail


@pytest.mark.parametrize("provider", FORMATS)
@pytest.mark.parametrize("where", ["choices", "candidates", "content"])
@pytest.mark.parametrize("value", [5, "odd", {}, [5], [None], [[]]])
def test_a_body_without_a_text_is_malformed(provider: str, where: str, value: Any) -> None:
    table, given, _ = COUNTS[provider]
    said = failure(provider, {where: value, table: {given: "5"}})
    assert isinstance(said, MalformedReply)


@pytest.mark.parametrize("provider", FORMATS)
def test_an_empty_answer_is_one_even_where_its_counts_are_odd(provider: str) -> None:
    table, given, made = COUNTS[provider]
    reason = {"openai": "length", "anthropic": "max_tokens", "google": "MAX_TOKENS"}[provider]
    reply = decode(provider, body(provider, "", reason=reason, **{table: {given: "5", made: [7]}}))
    assert reply == Reply(text="", finish_reason="length", usage=Usage(input_tokens=5))


@pytest.mark.parametrize("provider", FORMATS)
def test_what_failed_or_was_withheld_is_told_even_where_the_rest_is_odd(provider: str) -> None:
    error = {"error": {"code": 500, "message": "broken"}, "usage": [], "usageMetadata": []}
    assert isinstance(failure(provider, error), ServerError)
    reason = {"openai": "content_filter", "anthropic": "refusal", "google": "SAFETY"}[provider]
    withheld = body(provider, "", reason=reason, usage=[], usageMetadata=[])
    assert isinstance(failure(provider, withheld), ContentFiltered)


def test_an_odd_reply_never_shows_the_key() -> None:
    response = Response(200, {}, b'{"choices": 5, "sk-secret": }')
    with pytest.raises(MalformedReply) as caught:
        WIRES["openai"].decode(response, now_s=0.0, key="sk-secret")
    assert "sk-secret" not in str(caught.value)
