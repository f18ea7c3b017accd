"""One model call of a plan, prepared once: where it goes, what it sends, what comes back, what it costs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

from crucible_ray.errors import BadRequest, Refused, RefusedKey, SpecError
from crucible_ray.experiment.plan import CallPlan
from crucible_ray.models import anthropic, google, openai
from crucible_ray.models.refusals import blames
from crucible_ray.models.transport import Response
from crucible_ray.models.wire import Wire
from crucible_ray.records import Limits, Message, Reply, Usage

_MESSAGE_TOKENS = 8
"""More than any chat template puts around a message, and around the whole."""
_MILLION = 1e6

WIRES: Final[dict[str, Wire]] = {
    "openai": openai,
    "anthropic": anthropic,
    "google": google,
    "simulated": openai,
}
"""The format that each `ModelRef.provider` speaks."""


class Endpoint:
    """A CallPlan with its key. Shows the key to nobody but the server.

    clock: seconds since 1970, for a Retry-After that is a date.
    Raises SpecError for options that cannot be sent, RefusedKey for a key that no server would take.
    """

    def __init__(self, call: CallPlan, key: str | None, *, clock: Callable[[], float] = time.time) -> None:
        if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
            raise RefusedKey(
                call.model.name,
                call.model.api_key_env or "its variable",
                "it is empty, or holds a space, a line break or a character outside ASCII",
            )
        self.call, self._key, self._clock = call, key, clock
        model = call.model
        self._wire = wire = _wire(model.provider)
        self.url = wire.url(model.base_url, model.model)
        self.headers = wire.headers(key, model.base_url)
        self._head, self._tail = wire.frame(call)
        self._turns = wire.turns
        self._options = {"temperature", "max_tokens", "max_completion_tokens", "maxOutputTokens", *call.extra}
        self._input_usd, self._output_usd = _per_token(model.input_price), _per_token(model.output_price)
        self._cached_usd = _per_token(_first(model.cached_price, model.input_price))
        self._written_usd = _per_token(_write_price(call))
        # Anthropic puts into its cache what it is told to; others what they like.
        self._may_cache = model.provider != "anthropic" or "cache_control" in call.extra
        self._largest_output = wire.largest_output(call)

    def __repr__(self) -> str:
        return f"Endpoint({self.call.model.name!r}, {self.url!r})"

    def body(self, messages: Sequence[Message]) -> bytes:
        """The request: the same bytes for the same messages."""
        return b"".join((self._head, self._turns(messages), self._tail))

    def request_hash(self, body: bytes) -> str:
        """BLAKE2b-128 of the body, 32 hexadecimal digits."""
        return blake2b(body, digest_size=16).hexdigest()

    def read(self, response: Response) -> Reply:
        """The reply. Raises the ModelError that the response stands for.

        A request that is refused for an option of the call is Refused in whatever words: every item has that option.
        """
        try:
            return self._wire.decode(response, now_s=self._clock(), key=self._key)
        except BadRequest as error:
            if error.status in (400, 422) and blames(error.detail, self._options):
                raise Refused(error.detail, error.status) from None
            raise

    def limits_from(self, response: Response) -> Limits:
        """What the response teaches about limits a minute."""
        return self._wire.limits_from(response)

    def prompt_tokens_bound(self, messages: Sequence[Message]) -> int:
        """At least as many tokens as the provider can count: no tokenizer makes more tokens than bytes."""
        return _MESSAGE_TOKENS + sum(_MESSAGE_TOKENS + _size(each.content) for each in messages)

    def reserved_tokens(self, prompt_tokens: int) -> int:
        """What a request whose prompt is of at most so many tokens takes of a token limit when it is admitted."""
        return prompt_tokens + (self.call.max_tokens or 0)

    def cost_bound_usd(self, messages: Sequence[Message]) -> float | None:
        """The most one attempt can cost, US dollars; None where a price or the largest output is unknown."""
        return self.bound_usd(self.prompt_tokens_bound(messages))

    def bound_usd(self, prompt_tokens: int) -> float | None:
        """The same, of a prompt of at most so many tokens."""
        if self._input_usd is None or self._output_usd is None or self._largest_output is None:
            return None
        input_usd = self._input_usd
        if self._may_cache and self._written_usd is not None:
            input_usd = max(input_usd, self._written_usd)  # what goes into a cache may cost more
        return prompt_tokens * input_usd + self._largest_output * self._output_usd

    def cost_usd(self, usage: Usage) -> float | None:
        """A reply's price, US dollars; None where a price or a count is unknown.

        Tokens from or for a cache have their own price where the catalogue knows one, else the full price.
        """
        if self._input_usd is None or self._output_usd is None:
            return None
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        cost = usage.input_tokens * self._input_usd + usage.output_tokens * self._output_usd
        if usage.cached_tokens and self._cached_usd is not None:
            cost += usage.cached_tokens * (self._cached_usd - self._input_usd)
        if usage.cache_write_tokens and self._written_usd is not None:
            cost += usage.cache_write_tokens * (self._written_usd - self._input_usd)
        return cost


def _wire(provider: str) -> Wire:
    if provider not in WIRES:
        raise SpecError((f"There is no format for the provider {provider!r}: {', '.join(WIRES)}.",))
    return WIRES[provider]


def _write_price(call: CallPlan) -> float | None:
    """US dollars per million tokens that go into the cache: Anthropic doubles the price for an hour."""
    asked, price = call.extra.get("cache_control"), call.model.input_price
    if price is not None and isinstance(asked, dict) and asked.get("ttl") == "1h":
        return 2.0 * price
    return _first(call.model.cache_write_price, price)


def _first(own: float | None, other: float | None) -> float | None:
    return other if own is None else own


def _per_token(price: float | None) -> float | None:
    return price / _MILLION if price is not None else None


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())
