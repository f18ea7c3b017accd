"""A client's side of a limit: waits for send slots, asks for more in time, and never sends without a valid one."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from crucible_ray.records import Limits, SlotAsk, SlotGrant

MOST = 4096
"""Slots asked for at once."""
FREE_LEASE_S = 0.15
"""How long slots should last while the limit makes nobody wait: an ask costs as much as ten calls, and slots are
void a little after that, those still in hand at the ask among them."""


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

    def __init__(self, limiter: _Limiter, group: str, limits: Limits) -> None:
        self._limiter, self._group, self._limits = limiter, group, limits
        self._loop = asyncio.get_running_loop()
        self._slots: deque[tuple[float, float]] = deque()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._ask: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._granted = 0
        self._used_since_ask = 0
        self._asked_s = self._loop.time()
        self._binding = True
        self._tokens = 1
        self.expired = 0

    async def acquire(self, tokens: int) -> None:
        """Wait for a slot; returns when the request may be sent, at once or not at all."""
        self._tokens = max(tokens, 1)
        if not self._waiters:
            now = self._loop.time()
            self._drop_expired(now)
            if self._slots and self._slots[0][0] <= now:
                self._slots.popleft()
                self._used_since_ask += 1
                self._ask_if_low()
                return
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        self._pump()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.cancelled():
                self._waiters.remove(waiter)
            raise

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
        while self._slots and self._slots[0][1] <= now:
            self._slots.popleft()
            self.expired += 1

    def _pump(self) -> None:
        now = self._loop.time()
        self._drop_expired(now)
        while self._waiters and self._slots and self._slots[0][0] <= now:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._slots.popleft()
                self._used_since_ask += 1
                waiter.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiters and self._slots:
            self._timer = self._loop.call_at(self._slots[0][0], self._pump)
        self._ask_if_low()

    def _ask_if_low(self) -> None:
        # Asking only when empty would make most calls wait for the limiter's answer.
        if (
            self._ask is None
            and len(self._slots) <= self._granted // 2
            and (self._waiters or self._used_since_ask)
        ):
            self._ask = self._loop.create_task(self._refill())

    async def _refill(self) -> None:
        wanted = max(1, len(self._waiters) - len(self._slots), self._demand())
        self._used_since_ask, self._asked_s = 0, self._loop.time()
        ask = SlotAsk(group=self._group, count=min(wanted, MOST), tokens=self._tokens, limits=self._limits)
        try:
            grant = await self._limiter.slots(ask)
            arrived = self._loop.time()
            for k in range(grant.count):
                at = arrived + grant.first_s + k * grant.spacing_s
                self._slots.append((at, at + grant.expires_s))
            self._granted, self._binding = grant.count, grant.binding
        finally:
            self._ask = None
        self._pump()

    def _demand(self) -> int:
        """Slots to ask for as far as use tells: as many as since the last ask, or what a free lease holds."""
        used, lasted_s = self._used_since_ask, self._loop.time() - self._asked_s
        if self._binding:
            return used
        if lasted_s < FREE_LEASE_S / 4:
            # Too short a time to tell a rate from a burst: so no more than twice as many.
            return 2 * max(used, self._granted)
        return int(used * FREE_LEASE_S / lasted_s)
