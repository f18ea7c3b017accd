"""Rate limits as a provider enforces them, and what arrivals show. Pure: the time is an argument."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from crucible_ray.simulator.config import LimitKind


class Limit(Protocol):
    """One counter of one key."""

    def admit(self, now_s: float) -> float:
        """0 where the request is admitted and counted; else the seconds until one would be."""
        ...

    def remaining(self, now_s: float) -> int:
        """How many requests would be admitted now."""
        ...


class SlidingWindow:
    """At most `count` admissions in any half-open `window_s` seconds; refusals do not count."""

    def __init__(self, count: int, window_s: float) -> None:
        self._count, self._window_s = count, window_s
        self._admitted: deque[float] = deque()

    def admit(self, now_s: float) -> float:
        """See Limit."""
        self._forget(now_s)
        if len(self._admitted) < self._count:
            self._admitted.append(now_s)
            return 0.0
        return self._admitted[0] + self._window_s - now_s

    def remaining(self, now_s: float) -> int:
        """See Limit."""
        self._forget(now_s)
        return self._count - len(self._admitted)

    def _forget(self, now_s: float) -> None:
        # The same sum as in `admit`, so that whoever waits exactly so long is admitted.
        while self._admitted and self._admitted[0] + self._window_s <= now_s:
            self._admitted.popleft()


class TokenBucket:
    """`size` tokens when full, refilled at `per_s` a second; a request takes one. Starts full."""

    def __init__(self, size: float, per_s: float) -> None:
        self._size, self._per_s = size, per_s
        self._tokens, self._at_s = size, float("-inf")

    def admit(self, now_s: float) -> float:
        """See Limit."""
        self._refill(now_s)
        # A rounding error of the refill is nobody's fault: whoever waited as told is admitted.
        if self._tokens >= 1.0 - 1e-9:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._per_s

    def remaining(self, now_s: float) -> int:
        """See Limit."""
        self._refill(now_s)
        return int(self._tokens + 1e-9)

    def _refill(self, now_s: float) -> None:
        self._tokens = min(self._size, self._tokens + (now_s - self._at_s) * self._per_s)
        self._at_s = now_s


class Limits:
    """A counter for each key, made when the key is first seen."""

    def __init__(self, rpm: float, kind: LimitKind, *, bucket_size: float | None, window_s: float) -> None:
        self.rpm = rpm
        self._make: Callable[[], Limit]
        if kind == "window":
            # The smallest tolerance that keeps 0.1 * 60 * 10 from counting as 59.
            count = int(rpm * window_s / 60.0 + 1e-9)
            self._make = lambda: SlidingWindow(count, window_s)
        else:
            size = max(1.0, rpm / 60.0) if bucket_size is None else bucket_size
            self._make = lambda: TokenBucket(size, rpm / 60.0)
        self._by_key: dict[str, Limit] = {}

    def of(self, key: str) -> Limit:
        """The counter of one key."""
        limit = self._by_key.get(key)
        if limit is None:
            limit = self._by_key[key] = self._make()
        return limit


class Arrivals:
    """Arrival times in the order in which they came, 8 bytes each, with their densest window so far."""

    def __init__(self, window_s: float) -> None:
        self.times = array("d")
        self.densest = 0
        """The largest count in any half-open window so far."""
        self._window_s, self._oldest = window_s, 0

    def add(self, now_s: float) -> None:
        """Record one arrival; times must not decrease."""
        times = self.times
        times.append(now_s)
        while times[self._oldest] + self._window_s <= now_s:
            self._oldest += 1
        self.densest = max(self.densest, len(times) - self._oldest)


def sliding_max(times: Sequence[float], window_s: float) -> int:
    """The largest count of ascending `times` within any half-open window `(a, a + window_s]`."""
    densest = oldest = 0
    for index, now_s in enumerate(times):
        while times[oldest] + window_s <= now_s:
            oldest += 1
        densest = max(densest, index + 1 - oldest)
    return densest


def sliding_min_full(times: Sequence[float], window_s: float) -> int | None:
    """The smallest count within any window `(a, a + window_s]` between the first and the last of `times`.

    None where they span less than one window. A count is smallest just after an arrival has left, so only
    windows that open at an arrival are looked at.
    """
    if not times or times[-1] - times[0] < window_s:
        return None
    last = bisect_right(times, times[-1] - window_s)
    return min(bisect_right(times, times[index] + window_s) - index - 1 for index in range(last))
