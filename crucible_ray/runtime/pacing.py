"""How much work a client should hold: enough never to starve between two exchanges, little enough to lose."""

from __future__ import annotations

_LOW_S = 0.25
_HIGH_S = 0.75
_HALF_LIFE_S = 1.0


class Pace:
    """The rate at which one client finishes the trials of one lane, and the queue that this rate asks for."""

    def __init__(self, window: int) -> None:
        self.window = window
        self._rate = 0.0
        self._since_s: float | None = None

    def on_report(self, finished: int, *, now_s: float) -> None:
        """Trials that came in with the last report."""
        if self._since_s is None:
            self._since_s = now_s
            return
        elapsed = now_s - self._since_s
        if elapsed > 0:
            weight = 1.0 - 0.5 ** (elapsed / _HALF_LIFE_S)
            self._rate += weight * (finished / elapsed - self._rate)
            self._since_s = now_s

    @property
    def low_water(self) -> int:
        """Ask for more when so few are queued."""
        # Answers come in bursts: calls that started together end together, and a busy loop is late to ask.
        return max(self.window // 2, int(self._rate * _LOW_S))

    def wanted(self, unstarted: int, in_flight: int) -> int:
        """How many trials to grant now."""
        free = max(0, self.window - in_flight)
        target = free + self.low_water + max(self.window // 8, int(self._rate * _HIGH_S), 1)
        return max(0, target - unstarted) if unstarted <= self.low_water else 0
