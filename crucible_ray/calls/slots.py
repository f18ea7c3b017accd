"""A client's side of a limit: waits for send slots, asks for more in time, and never sends without a valid one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple, Protocol

from crucible_ray.records import Limits, SlotAsk, SlotGrant

MOST = 4096
"""Slots asked for at once."""
FREE_LEASE_S = 0.15
"""How long slots should last while the limit makes nobody wait: an ask costs as much as ten calls, and slots are
void a little after that, those still in hand at the ask among them."""

_WOKEN_TOGETHER = 256
"""Thousands that are woken at one go would hold each other up until their slots are void."""


class _Slot(NamedTuple):
    at_s: float
    void_s: float
    tokens: int
    """Reserved for it."""


class _Limiter(Protocol):
    async def slots(self, ask: SlotAsk) -> SlotGrant: ...


class SlotQueue:
    """Slots of one limit group, first come, first served.

    | object | role | lifetime |
    | --- | --- | --- |
    | slot | a time from which one request may be sent | until used, or `expires_s` after its time |
    | waiter | a call that wants to send | until it gets a slot or is cancelled |
    | ask | a question to the limiter, one at a time | until its grant comes |
    """

    def __init__(
        self, limiter: _Limiter, group: str, limits: Limits, *, also: tuple[tuple[str, Limits], ...] = ()
    ) -> None:
        """`also`: other groups that every send counts in."""
        self._limiter, self._group, self._limits, self._also = limiter, group, limits, also
        self._loop = asyncio.get_running_loop()
        self._slots: deque[_Slot] = deque()
        self._waiters: deque[tuple[asyncio.Future[_Slot], int]] = deque()
        self._ask: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._granted = 0
        self._used_since_ask = 0
        self._asked_s = self._loop.time()
        self._binding = True
        self._largest = 1
        self._refund = 0
        self.expired = 0

    async def acquire(self, tokens: int) -> int:
        """Wait for a slot; returns, when the request may be sent at once or not at all, the tokens reserved for it.

        Raises what the limiter raised.
        """
        self._largest = max(self._largest, tokens)
        while True:
            slot = self._take(tokens) if not self._waiters else None
            if slot is None:
                slot = await self._wait(tokens)
            # The loop may have been late to come back here: a slot is judged at the moment of the send.
            if self._loop.time() < slot.void_s:
                return slot.tokens
            self.expired += 1
            self._refund += slot.tokens

    async def _wait(self, tokens: int) -> _Slot:
        waiter: asyncio.Future[_Slot] = self._loop.create_future()
        self._waiters.append((waiter, tokens))
        self._pump()
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.cancelled() and (waiter, tokens) in self._waiters:  # else `_pump` came first
                self._waiters.remove((waiter, tokens))
            raise

    def refund(self, tokens: int) -> None:
        """Tokens reserved and not used; told with the next ask."""
        self._refund += max(0, tokens)

    def drop(self) -> None:
        """The provider refused: slots already granted are void."""
        self._slots.clear()
        self._pump()

    def close(self) -> None:
        """Stop asking; whoever waits is left to its own cancellation."""
        if self._ask:
            self._ask.cancel()
        if self._timer:
            self._timer.cancel()

    def _drop_expired(self, now: float) -> None:
        while self._slots and self._slots[0].void_s <= now:
            self._refund += self._slots.popleft().tokens
            self.expired += 1

    def _take(self, tokens: int) -> _Slot | None:
        """The next slot, if its time has come; slots too small for the request are given up."""
        now = self._loop.time()
        self._drop_expired(now)
        while self._slots and self._slots[0].at_s <= now:
            slot = self._slots.popleft()
            if slot.tokens >= tokens:
                self._used_since_ask += 1
                self._ask_if_low()
                return slot
            self._refund += slot.tokens
        return None

    def _pump(self) -> None:
        woken = 0
        while self._waiters and woken < _WOKEN_TOGETHER:
            waiter, tokens = self._waiters[0]
            if waiter.done():
                self._waiters.popleft()
                continue
            slot = self._take(tokens)
            if slot is None:
                break
            self._waiters.popleft()
            waiter.set_result(slot)
            woken += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiters and self._slots:
            self._timer = self._loop.call_at(self._slots[0].at_s, self._pump)
        self._ask_if_low()

    def _ask_if_low(self) -> None:
        # Asking only when empty would make most calls wait for the limiter's answer.
        if (
            self._ask is None
            and len(self._slots) <= self._granted // 2
            and (self._waiters or self._used_since_ask)
        ):
            self._ask = self._loop.create_task(self._refill())
            self._ask.add_done_callback(self._asked)

    async def _refill(self) -> None:
        wanted = max(1, len(self._waiters) - len(self._slots), self._demand())
        self._used_since_ask, self._asked_s = 0, self._loop.time()
        # One size for all, what is too much is refunded: every slot must serve whatever request is next.
        tokens = self._largest
        ask = SlotAsk(
            group=self._group,
            count=min(wanted, MOST),
            tokens=tokens,
            limits=self._limits,
            also=self._also,
            refund=self._refund,
        )
        self._refund = 0
        grant = await self._limiter.slots(ask)
        arrived = self._loop.time()
        for k in range(grant.count):
            at = arrived + grant.first_s + k * grant.spacing_s
            self._slots.append(_Slot(at, at + grant.expires_s, tokens))
        self._granted, self._binding = grant.count, grant.binding

    def _asked(self, task: asyncio.Task[None]) -> None:
        self._ask = None
        if task.cancelled():
            return
        if (error := task.exception()) is None:
            self._pump()
            return
        # Nobody can send without a limiter: whoever waits is told why, and fails.
        while self._waiters:
            waiter, _ = self._waiters.popleft()
            if not waiter.done():
                waiter.set_exception(error)

    def _demand(self) -> int:
        """Slots to ask for as far as use tells: as many as since the last ask, or what a free lease holds."""
        used, lasted_s = self._used_since_ask, self._loop.time() - self._asked_s
        if self._binding:
            return used
        if lasted_s < FREE_LEASE_S / 4:
            # Too short a time to tell a rate from a burst: so no more than twice as many.
            return 2 * max(used, self._granted)
        return int(used * FREE_LEASE_S / lasted_s)
