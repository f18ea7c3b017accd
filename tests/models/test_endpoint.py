"""A call of a plan, prepared: what it sends, what it shows, what it costs."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pytest

from crucible_ray.errors import (
    Authentication,
    BadRequest,
    ModelError,
    RateLimited,
    Refused,
    RefusedKey,
    SpecError,
)
from crucible_ray.experiment.plan import CallPlan
from crucible_ray.models import openai
from crucible_ray.models.endpoint import Endpoint
from crucible_ray.models.transport import Response
from crucible_ray.records import Limits, Message, ModelRef, Usage

KEY = "sk-test-0123456789"
QUESTION = (Message("user", "Grüße, 2 + 2 = ?"),)


def endpoint(
    key: str | None = KEY, *, now_s: float = 0.0, plan: dict[str, Any] | None = None, **ref: Any
) -> Endpoint:
    model: dict[str, Any] = {
        "name": "mini",
        "provider": "openai",
        "model": "m-1",
        "base_url": "http://127.0.0.1:8000/v1",
        "api_key_env": "OPENAI_API_KEY",
        "limit_group": "m",
        "input_price": 2.0,
        "output_price": 10.0,
    } | ref
    call = CallPlan(model=ModelRef(**model), timeout_s=60.0, attempt_timeout_s=30.0, **(plan or {}))
    return Endpoint(call, key, clock=lambda: now_s)


def test_it_sends_what_the_wire_format_encodes() -> None:
    prepared = endpoint(plan={"temperature": 0.0, "max_tokens": 5, "extra": {"top_p": 1}})
    assert prepared.url == "http://127.0.0.1:8000/v1/chat/completions"
    assert prepared.headers["Authorization"] == f"Bearer {KEY}"
    head, tail = openai.frame(prepared.call)
    assert prepared.body(QUESTION) == head + openai.turns(QUESTION) + tail


def test_a_request_is_named_by_the_hash_of_its_body() -> None:
    assert endpoint().request_hash(b"body") == blake2b(b"body", digest_size=16).hexdigest()


def test_it_reads_a_reply() -> None:
    body = b'{"choices":[{"message":{"content":"4"},"finish_reason":"stop"}]}'
    assert endpoint().read(Response(200, {}, body)).text == "4"


def test_a_date_to_come_back_at_is_read_by_the_given_clock() -> None:
    response = Response(429, {"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, b"{}")
    with pytest.raises(RateLimited) as caught:
        endpoint(now_s=90.0).read(response)
    assert caught.value.retry_after_s == 10.0


def test_limits_are_learned_from_headers() -> None:
    response = Response(429, {"x-ratelimit-limit-requests": "60"}, b"{}")
    assert endpoint().limits_from(response) == Limits(requests_per_minute=60.0)


def test_neither_its_repr_nor_an_error_shows_the_key() -> None:
    prepared = endpoint()
    assert repr(prepared) == "Endpoint('mini', 'http://127.0.0.1:8000/v1/chat/completions')"
    with pytest.raises(Authentication) as caught:
        prepared.read(Response(401, {}, f'{{"error":{{"message":"bad key {KEY}"}}}}'.encode()))
    assert KEY not in repr(caught.value)


@pytest.mark.parametrize("key", ["", "sk-1\n", "sk 1", "sk-ключ", "sk-\x00"])
def test_a_key_that_no_header_can_carry_is_refused_by_its_variables_name(key: str) -> None:
    with pytest.raises(RefusedKey, match="OPENAI_API_KEY") as caught:
        endpoint(key)
    assert not key or key not in str(caught.value)


def test_without_a_key_none_is_sent() -> None:
    assert "Authorization" not in endpoint(None).headers


def test_options_that_cannot_be_sent_are_refused_when_it_is_made() -> None:
    with pytest.raises(SpecError, match="stream"):
        endpoint(plan={"extra": {"stream": True}})


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("The value of top_p has to lie below one", Refused),
        ("temperature: nope, not on this one", Refused),
        ("frobnicate_level cannot be used here", BadRequest),
        ("This model's maximum context length is 8 tokens: lower max_tokens", BadRequest),
        ("the user asked for something that stops us", BadRequest),
    ],
)
def test_a_request_that_is_refused_for_an_option_is_refused_in_whatever_words(
    words: str, kind: type[ModelError]
) -> None:
    prepared = endpoint(plan={"temperature": 0.5, "extra": {"top_p": 2, "user": "u", "stop": ["x"]}})
    with pytest.raises(ModelError) as caught:
        prepared.read(Response(400, {}, f'{{"error":{{"message":"{words}"}}}}'.encode()))
    assert type(caught.value) is kind


# Money


def test_the_prompts_bound_counts_bytes_not_characters() -> None:
    assert endpoint().prompt_tokens_bound(QUESTION) == 8 + 8 + len("Grüße, 2 + 2 = ?".encode())
    assert endpoint().prompt_tokens_bound(()) == 8


def test_a_cost_is_bounded_by_the_prompt_and_the_largest_output() -> None:
    prompt_usd = endpoint().prompt_tokens_bound(QUESTION) * 2e-6
    assert endpoint(plan={"max_tokens": 50}).cost_bound_usd(QUESTION) == pytest.approx(prompt_usd + 50 * 1e-5)
    assert endpoint(max_output_tokens=80).cost_bound_usd(QUESTION) == pytest.approx(prompt_usd + 80 * 1e-5)
    small = endpoint(plan={"max_tokens": 50}, max_output_tokens=80)
    assert small.cost_bound_usd(QUESTION) == pytest.approx(prompt_usd + 50 * 1e-5)


def test_a_bound_knows_what_extra_asks_for() -> None:
    prompt_usd = endpoint().prompt_tokens_bound(QUESTION) * 2e-6
    asked = endpoint(plan={"extra": {"max_completion_tokens": 50, "n": 3}})
    assert asked.cost_bound_usd(QUESTION) == pytest.approx(prompt_usd + 150 * 1e-5)


@pytest.mark.parametrize(
    "unknown", [{"input_price": None}, {"output_price": None}, {"max_output_tokens": None, "plan": {}}]
)
def test_a_bound_on_what_is_unknown_is_unknown_and_not_zero(unknown: dict[str, Any]) -> None:
    given = {"plan": {"max_tokens": 5}} | unknown
    assert endpoint(**given).cost_bound_usd(QUESTION) is None


def test_a_reply_costs_its_tokens() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, reasoning_tokens=90, cached_tokens=500)
    assert endpoint().cost_usd(usage) == pytest.approx(0.003)


def test_tokens_of_a_cache_cost_what_the_catalogue_says_of_them_else_the_full_price() -> None:
    usage = Usage(input_tokens=1000, output_tokens=100, cached_tokens=500, cache_write_tokens=200)
    known = endpoint(cached_price=0.2, cache_write_price=2.5)
    assert known.cost_usd(usage) == pytest.approx(300 * 2e-6 + 500 * 0.2e-6 + 200 * 2.5e-6 + 100 * 1e-5)
    assert endpoint().cost_usd(usage) == pytest.approx(0.003)


def test_what_may_go_into_a_cache_is_bounded_at_its_own_price() -> None:
    dear: dict[str, Any] = {"cache_write_price": 2.5, "max_output_tokens": 10}
    tokens = endpoint().prompt_tokens_bound(QUESTION)

    def bound_usd(**ref: Any) -> float | None:
        return endpoint(**dear, **ref).cost_bound_usd(QUESTION)

    asked = {"cache_control": {"type": "ephemeral"}}
    hour = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    assert bound_usd() == pytest.approx(tokens * 2.5e-6 + 10 * 1e-5), "a cache of the provider's own accord"
    assert bound_usd(provider="anthropic") == pytest.approx(tokens * 2e-6 + 10 * 1e-5)
    assert bound_usd(provider="anthropic", plan={"extra": asked}) == pytest.approx(tokens * 2.5e-6 + 1e-4)
    assert bound_usd(provider="anthropic", plan={"extra": hour}) == pytest.approx(tokens * 4e-6 + 1e-4)


@pytest.mark.parametrize("usage", [Usage(), Usage(input_tokens=1), Usage(output_tokens=1)])
def test_a_reply_that_was_not_counted_costs_an_unknown_sum(usage: Usage) -> None:
    assert endpoint().cost_usd(usage) is None


def test_a_reply_without_a_price_costs_an_unknown_sum() -> None:
    assert endpoint(input_price=None).cost_usd(Usage(input_tokens=1, output_tokens=1)) is None
