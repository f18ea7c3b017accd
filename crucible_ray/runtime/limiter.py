"""The limiter as a service: asks of one group queue here and are answered in their order."""

from __future__ import annotations

import asyncio

from crucible_ray.calls import limits
from crucible_ray.calls.limit_state import LimitStates
from crucible_ray.records import SlotAsk, SlotGrant, Throttled


class LimiterService:
    """Satisfies `ports.Limiter` over any store of states."""

    def __init__(self, states: LimitStates) -> None:
        self._states = states
        self._turns: dict[str, asyncio.Lock] = {}

    async def slots(self, ask: SlotAsk) -> SlotGrant:
        """See ports.Limiter."""
        async with self._turns.setdefault(ask.group, asyncio.Lock()):
            while True:
                with self._states.locked(ask.group) as state:
                    answer = limits.take(state, ask, now_s=self._states.now_s())
                if isinstance(answer, SlotGrant):
                    return answer
                # Another process, or a refusal, may move the next send meanwhile: so ask again rather than trust.
                await asyncio.sleep(answer)

    async def throttled(self, notice: Throttled) -> None:
        """See ports.Limiter."""
        with self._states.locked(notice.group) as state:
            limits.refuse(state, notice, now_s=self._states.now_s())

    async def refund(self, group: str, tokens: int) -> None:
        """See ports.Limiter."""
        with self._states.locked(group) as state:
            limits.refund(state, tokens, now_s=self._states.now_s())
