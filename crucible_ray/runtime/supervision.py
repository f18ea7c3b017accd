"""How many deaths are bad luck, and from which on it is no use (Erlang's restart intensity)."""

from __future__ import annotations

import enum
from collections import deque


class Verdict(enum.Enum):
    """What to do about a crash."""

    RESTART = "restart"
    GIVE_UP = "give up"


class RestartBudget:
    """At most `max_restarts` within any `window_s` seconds."""

    def __init__(self, max_restarts: int, window_s: float) -> None:
        self.max_restarts, self.window_s = max_restarts, window_s
        self._crashes: deque[float] = deque()

    def on_crash(self, *, now_s: float) -> Verdict:
        """Count one crash and judge it."""
        while self._crashes and self._crashes[0] <= now_s - self.window_s:
            self._crashes.popleft()
        self._crashes.append(now_s)
        return Verdict.RESTART if len(self._crashes) <= self.max_restarts else Verdict.GIVE_UP
