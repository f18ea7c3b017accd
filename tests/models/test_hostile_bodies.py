"""Whatever a server sends: a reply or a ModelError, in every format, and never a surprise."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crucible_ray.errors import ModelError
from crucible_ray.models.endpoint import WIRES
from crucible_ray.models.transport import Response
from crucible_ray.records import Limits, Reply

_NAMES = [
    "error",
    "errors",
    "message",
    "detail",
    "loc",
    "msg",
    "code",
    "type",
    "status",
    "param",
    "details",
    "violations",
    "quotaId",
    "quotaValue",
    "@type",
    "retryDelay",
    "candidates",
    "content",
    "parts",
    "text",
    "thought",
    "finishReason",
    "promptFeedback",
    "blockReason",
    "usageMetadata",
    "promptTokenCount",
    "candidatesTokenCount",
    "avgLogprobs",
    "choices",
    "finish_reason",
    "logprobs",
    "logprob",
    "usage",
    "prompt_tokens",
    "stop_reason",
    "input_tokens",
    "output_tokens",
    "model",
    "role",
]
_WORDS = (
    "",
    "stop",
    "SAFETY",
    "error",
    "text",
    "google.rpc.QuotaFailure",
    "google.rpc.RetryInfo",
    "1s",
    "9" * 40,
)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(_WORDS)
    | st.text(max_size=5)
)
_JSON: st.SearchStrategy[Any] = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), inner, max_size=5),
    max_leaves=20,
)
_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "x-ratelimit-reset-requests",
            "retry-after",
            "date",
            "anthropic-ratelimit-requests-limit",
            "x-ratelimit-limit-requests",
        ]
    ),
    st.text(st.characters(codec="latin-1"), max_size=8),
)


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
@settings(max_examples=100, deadline=None)
@given(
    status=st.sampled_from([200, 400, 401, 404, 429, 500, 529]),
    said=_JSON,
    headers=_HEADERS,
    cut=st.booleans(),
)
def test_any_body_is_a_reply_or_a_model_error(
    provider: str, status: int, said: Any, headers: dict[str, str], cut: bool
) -> None:
    body = json.dumps(said).encode()
    response = Response(status, headers, body[: len(body) // 2] if cut else body)
    assert isinstance(WIRES[provider].limits_from(response), Limits)
    try:
        reply = WIRES[provider].decode(response, now_s=0.0)
    except ModelError:
        return
    assert isinstance(reply, Reply)
    assert reply.confidence is None or 0.0 <= reply.confidence <= 1.0


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google"])
@pytest.mark.parametrize(
    "body",
    [
        b'{"detail":[{"loc":5,"msg":7}]}',
        b'{"error":{"code":"\xc2\xb2","message":"superscript"}}',
        b'{"error":{"code":"' + b"9" * 5_000 + b'"}}',
        b'{"error":{"details":[{"@type":"google.rpc.QuotaFailure","violations":[{"quotaId":"RequestsPerMinute",'
        b'"quotaValue":"'
        + b"9" * 5_000
        + b'"}]},{"@type":"google.rpc.RetryInfo","retryDelay":"'
        + b"9" * 5_000
        + b's"}]}}',
        b"[" * 5_000,
        b'{"deep":' + b"[" * 5_000,
    ],
)
@pytest.mark.parametrize("status", [200, 400, 429])
def test_numbers_and_shapes_that_break_readers_break_none(provider: str, body: bytes, status: int) -> None:
    headers = dict.fromkeys(("anthropic-ratelimit-requests-limit", "x-ratelimit-limit-requests"), "9" * 5000)
    response = Response(status, headers, body)
    assert WIRES[provider].limits_from(response) == Limits()
    with pytest.raises(ModelError):
        WIRES[provider].decode(response, now_s=0.0)


@pytest.mark.parametrize("count", ["-5", "1" + "0" * 30])
def test_a_count_of_tokens_that_cannot_be_is_unknown(count: str) -> None:
    bodies = {
        "openai": '{"choices":[{"message":{"content":"x"}}],"usage":{"prompt_tokens":%s}}',
        "anthropic": '{"content":[{"type":"text","text":"x"}],"usage":{"input_tokens":%s}}',
        "google": '{"candidates":[{"content":{"parts":[{"text":"x"}]}}],"usageMetadata":{"promptTokenCount":%s}}',
    }
    for provider, body in bodies.items():
        reply = WIRES[provider].decode(Response(200, {}, (body % count).encode()), now_s=0.0)
        assert (reply.text, reply.usage.input_tokens) == ("x", None)
