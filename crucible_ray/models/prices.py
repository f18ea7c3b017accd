"""What models cost, from the table of the package `genai-prices`: offline, as installed.

A model that the table does not hold has no price: unknown, never zero.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot


class Price(Struct, frozen=True, kw_only=True):
    """The price of one model."""

    input_price: float
    """US dollars per million tokens; of the first tier, where the price rises with the prompt's length."""
    output_price: float
    cached_price: float | None = None
    """Of input tokens that the provider's cache held; None where the table does not say."""
    cache_write_price: float | None = None
    """Of input tokens that go into the cache for minutes; None where the table does not say."""
    date: str | None
    """ISO date of the newest change of price that the table knows: the table is at least as young."""
    max_output_tokens: int | None


def price_of(provider: str, model: str, *, at: datetime | None = None) -> Price | None:
    """The price of a provider's model at a moment (default: now); None where it is unknown."""
    at = at or datetime.now(UTC)
    table = _table()
    try:
        _, found = table.find_provider_model(model, None, provider, None)
    except LookupError:
        return None
    prices = found.get_prices(at)
    input_price, output_price = _usd(prices, "input_mtok"), _usd(prices, "output_mtok")
    if input_price is None or output_price is None:
        return None
    return Price(
        input_price=input_price,
        output_price=output_price,
        cached_price=_usd(prices, "cache_read_mtok"),
        cache_write_price=_usd(prices, "cache_write_mtok"),
        date=_newest_change(at.date()),
        max_output_tokens=max_output_tokens(model),
    )


def max_output_tokens(model: str) -> int | None:
    """The longest output that the provider documents for a model id; None where we do not know it."""
    name = model.rpartition("/")[2].lower()
    if name.startswith("claude"):
        name = name.replace(".", "-")  # as routers write the version
    return _MAX_OUTPUT.get(name) or _MAX_OUTPUT.get(_VERSION.sub("", name))


_VERSION: Final = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4}|\d{3}|latest|preview-\d{2}-\d{2,4})$")

_BY_SIZE: Final = {
    4_096: "gpt-3.5-turbo gpt-4-turbo gpt-4o-2024-05-13 claude-3-haiku claude-3-sonnet claude-3-opus",
    8_192: """gpt-4 claude-3-5-haiku claude-3-5-sonnet gemini-1.5-flash gemini-1.5-flash-8b gemini-1.5-pro
        gemini-2.0-flash gemini-2.0-flash-lite""",
    16_384: "gpt-4o gpt-4o-mini gpt-5-chat gpt-5.1-chat",
    32_000: "claude-opus-4 claude-opus-4-0 claude-opus-4-1",
    32_768: "gpt-4.1 gpt-4.1-mini gpt-4.1-nano",
    64_000: """claude-3-7-sonnet claude-sonnet-4 claude-sonnet-4-0 claude-haiku-4-5 claude-sonnet-4-5
        claude-opus-4-5""",
    65_536: """o1-mini gemini-2.5-flash gemini-2.5-flash-lite gemini-2.5-pro gemini-3-flash-preview
        gemini-3-pro-preview gemini-3.1-flash-lite gemini-3.1-pro-preview gemini-3.5-flash
        gemini-3.5-flash-lite gemini-3.6-flash gemini-3.8-flash""",
    100_000: "o1 o3 o3-mini o4-mini",
    128_000: """gpt-5 gpt-5-mini gpt-5-nano gpt-5.1 gpt-5.2 claude-sonnet-4-6 claude-opus-4-6
        claude-opus-4-7 claude-opus-4-8 claude-sonnet-5 claude-sonnet-5-5 claude-opus-5 claude-opus-5-5
        claude-haiku-5-5 claude-fable-5 claude-fable-5-1""",
}
"""Tokens, from the providers' model pages; `genai-prices` does not hold them."""
_MAX_OUTPUT: Final = {name: tokens for tokens, names in _BY_SIZE.items() for name in names.split()}


def _table() -> DataSnapshot:
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def _usd(prices: Any, unit: str) -> float | None:
    value = getattr(prices, unit, None)
    base = getattr(value, "base", value)
    return None if base is None else float(base)


@lru_cache(maxsize=4)
def _newest_change(today: date) -> str | None:
    starts = (
        start
        for provider in _table().providers
        for model in provider.models
        if isinstance(model.prices, list)
        for conditional in model.prices
        if (start := getattr(conditional.constraint, "start_date", None)) is not None
    )
    newest = max((start for start in starts if start <= today), default=None)
    return None if newest is None else newest.isoformat()
