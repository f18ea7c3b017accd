"""When may the next request of a limit group be sent? GCRA without burst, and without saving while idle.

The generic cell rate algorithm (ITU-T I.371) keeps one number per dimension, the earliest next send. Slots are handed
out at `HEADROOM` of the limit, so that jitter on the way to the provider never puts more than the limit into any of
its sliding minutes. A refusal moves everybody's next send; where no limit is known, refusals teach one.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from crucible_ray.records import Limits, SlotAsk, SlotGrant, Throttled

HEADROOM = 0.985
HORIZON_S = 0.1
"""Slots are handed out no longer than this ahead of their time, so that a refusal reaches whoever still waits."""
BINDING_SPAN_S = 0.1
FREE_SPAN_S = 1.0
EXPIRES_S = 0.25
_LATEST_S = 0.3
"""How late a send may reach the provider after its time: a slot's life, and the way there."""
_LEAST_SHARE = 0.495
"""Of a token limit: two requests of half the limit stay a minute and `_LATEST_S` apart."""
_SHORTEST_WAIT_S = 1e-3
_FIRST_COOLDOWN_S = 1.0
_LONGEST_COOLDOWN_S = 60.0
_PACE_GROWTH_S = 10.0
_SAID_S = 60.0
"""How long a limit that somebody declared holds after it was last said, at least."""
_TAUGHT_S = 3600.0
"""How long one holds that a refusal's headers taught: a reply under it says nothing of it."""
_SPORADIC = 0.3
"""A smaller share of refusals is obeyed and teaches no pace: a limit that is reached refuses nearly everything."""


class GroupState(Struct, kw_only=True):
    """All that is remembered of one limit group; times are seconds on the clock of whoever holds it."""

    request_s: float = 0.0
    """Earliest next send, by the count of requests."""
    token_s: float = 0.0
    """The same, by tokens."""
    cooldown_s: float = 0.0
    """Nothing is sent before this: the provider refused."""
    refusals: int = 0
    """In a row, without a grant that went well between them."""
    refused_s: float = 0.0
    """When the last refusal came."""
    requests_per_minute: float | None = None
    """The lowest limit that anybody declares or a header taught."""
    requests_until_s: float = 0.0
    """It holds until then, unless it is said again: a limit that was raised must not wait for a reboot."""
    tokens_per_minute: float | None = None
    tokens_until_s: float = 0.0
    paced_per_minute: float | None = None
    """Learned from refusals where no limit is known; grows by 5 % in ten quiet seconds."""
    paced_s: float = 0.0


def _lowest(known: float | None, said: float | None) -> float | None:
    return said if known is None else known if said is None else min(known, said)


def learn(state: GroupState, limits: Limits, *, now_s: float, taught: bool = False) -> None:
    """Of differing limits for one group the lowest holds, until nobody has said it for a while.

    taught: a refusal's headers say them, not whoever asks for slots, who says them with every ask.
    """
    state.requests_per_minute, state.requests_until_s = _held(
        state.requests_per_minute, state.requests_until_s, limits.requests_per_minute, now_s, taught
    )
    state.tokens_per_minute, state.tokens_until_s = _held(
        state.tokens_per_minute, state.tokens_until_s, limits.tokens_per_minute, now_s, taught
    )


def _held(
    known: float | None, until_s: float, said: float | None, now_s: float, taught: bool
) -> tuple[float | None, float]:
    if known is not None and now_s >= until_s:
        known = None
    if said is None or (known is not None and known < said):
        return known, until_s
    # At a limit of one in ten minutes whoever waits asks no sooner.
    holds_s = _TAUGHT_S if taught else max(_SAID_S, 120.0 / said)
    return said, now_s + holds_s if known != said else max(until_s, now_s + holds_s)


def token_rate(limit: float, tokens: int) -> float:
    """Tokens a minute to hand out in slots of so many: a sliding minute may hold one request more than their spacing says."""
    whole = limit * (1 - _LATEST_S / 60.0) - tokens
    return max(min(HEADROOM * limit, whole), _LEAST_SHARE * limit)


def _spacing_s(state: GroupState, tokens: int, now_s: float) -> tuple[float, float]:
    if state.paced_per_minute is not None and now_s - state.paced_s >= _PACE_GROWTH_S:
        # No more than an hour's growth, so that a pace from long ago stays a number.
        state.paced_per_minute *= 1.05 ** min(360, int((now_s - state.paced_s) / _PACE_GROWTH_S))
        state.paced_s = now_s
    rate = _lowest(state.requests_per_minute, state.paced_per_minute)
    by_request = 60.0 / (HEADROOM * rate) if rate else 0.0
    limit = state.tokens_per_minute
    by_token = tokens * 60.0 / token_rate(limit, tokens) if limit else 0.0
    return by_request, by_token


def take(
    state: GroupState, ask: SlotAsk, *, now_s: float, others: Sequence[tuple[GroupState, Limits]] = ()
) -> SlotGrant | float:
    """Slots for `ask`, or the seconds to wait before asking again. Changes `state`, and `others` alike.

    `others`: groups that the same sends count in. A slot is good for all of them or is not given.
    """
    members = [(state, ask.limits), *others]
    spacings = []
    for each, limits in members:
        learn(each, limits, now_s=now_s)
        spacings.append(_spacing_s(each, ask.tokens, now_s))
    start = max(now_s, *(max(each.request_s, each.token_s, each.cooldown_s) for each, _ in members))
    if start - now_s > HORIZON_S + _SHORTEST_WAIT_S:
        return start - now_s - HORIZON_S
    spacing = max(map(max, spacings))
    binding = start > now_s
    span = BINDING_SPAN_S if binding else FREE_SPAN_S
    count = max(1, min(ask.count, int(span / spacing) if spacing else ask.count))
    last = start + (count - 1) * spacing
    for (each, _), (by_request, by_token) in zip(members, spacings, strict=True):
        each.request_s = last + by_request
        each.token_s = max(each.token_s, start) + count * by_token
        if each.refusals and start > each.refused_s + _LONGEST_COOLDOWN_S:
            each.refusals = 0
    return SlotGrant(
        count=count, first_s=start - now_s, spacing_s=spacing, expires_s=EXPIRES_S, binding=binding
    )


def refuse(state: GroupState, notice: Throttled, *, now_s: float) -> None:
    """A provider said 429. Several refusals of one burst count once."""
    learn(state, notice.limits, now_s=now_s, taught=True)
    fresh = now_s >= state.cooldown_s
    sporadic = notice.refused_share < _SPORADIC
    if fresh:
        state.refusals = 1 if sporadic else state.refusals + 1
        state.refused_s = now_s
    pause = notice.retry_after_s
    if pause is None:
        pause = min(_LONGEST_COOLDOWN_S, _FIRST_COOLDOWN_S * 2.0 ** (state.refusals - 1)) if fresh else 0.0
    state.cooldown_s = max(state.cooldown_s, now_s + pause)
    if fresh and not sporadic and state.requests_per_minute is None:
        pace = state.paced_per_minute or notice.sent_per_minute
        state.paced_per_minute = max(6.0, 0.7 * min(pace, notice.sent_per_minute or pace))
        state.paced_s = now_s


def refund(state: GroupState, tokens: int, *, slot: int, now_s: float) -> None:
    """Tokens reserved at admission that the settled calls did not use, in slots of `slot` tokens."""
    if state.tokens_per_minute:
        state.token_s = max(now_s, state.token_s - tokens * 60.0 / token_rate(state.tokens_per_minute, slot))
