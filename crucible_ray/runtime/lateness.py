"""How late an event loop runs its work."""

from __future__ import annotations

import asyncio

_TICK_S = 0.05


class LoopClock:
    """Ticks on the event loop, so that its delays can be read, also from another thread."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._longest_s = 0.0
        self._ticked_s = self._loop.time()
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    def _tick(self) -> None:
        now = self._loop.time()
        self._longest_s = max(self._longest_s, now - self._ticked_s - _TICK_S)
        self._ticked_s = now
        self._timer = self._loop.call_later(_TICK_S, self._tick)

    def now_s(self) -> float:
        """How late the loop is now, seconds."""
        return max(0.0, self._loop.time() - self._ticked_s - _TICK_S)

    def take(self) -> float:
        """The longest delay since the last call, seconds."""
        longest, self._longest_s = self._longest_s, 0.0
        return longest

    def close(self) -> None:
        """Stop ticking."""
        self._timer.cancel()
