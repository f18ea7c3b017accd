"""The limiter as a service: asks of one group queue here and are answered in their order."""

from __future__ import annotations

import asyncio
import contextlib

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
            if ask.refund:
                with self._states.locked(ask.group) as state:
                    limits.refund(state, ask.refund, slot=ask.tokens, now_s=self._states.now_s())
            while True:
                answer = self._take(ask)
                if isinstance(answer, SlotGrant):
                    return answer
                # Another process, or a refusal, may move the next send meanwhile: so ask again rather than trust.
                await asyncio.sleep(answer)

    def _take(self, ask: SlotAsk) -> SlotGrant | float:
        with contextlib.ExitStack() as stack:
            # Locked in the order of their names, so that two processes never wait for each other.
            named = {
                name: stack.enter_context(self._states.locked(name))
                for name in sorted({ask.group, *(name for name, _ in ask.also)})
            }
            others = [(named[name], declared) for name, declared in ask.also]
            return limits.take(named[ask.group], ask, now_s=self._states.now_s(), others=others)

    async def throttled(self, notice: Throttled) -> None:
        """See ports.Limiter."""
        with self._states.locked(notice.group) as state:
            limits.refuse(state, notice, now_s=self._states.now_s())
