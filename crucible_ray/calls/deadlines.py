"""Deadlines of thousands of calls by one timer.

Calls with the same allowance expire in the order in which they were armed, so each allowance has a queue, and only the
head of a queue needs the event loop's attention. Arming costs an append, disarming sets a flag.
"""

from __future__ import annotations

import asyncio
from collections import deque


class Deadline:
    """One armed deadline: cancels its task when it passes, unless disarmed before."""

    __slots__ = ("at_s", "done", "fired", "task")

    def __init__(self, at_s: float, task: asyncio.Task[object]) -> None:
        self.at_s, self.task = at_s, task
        self.done = False
        self.fired = False

    def disarm(self) -> None:
        """The call ended by itself."""
        self.done = True

    def swallow(self) -> bool:
        """Inside `except CancelledError`: whether the cancellation was this deadline's and no one else's."""
        return self.fired and self.task.uncancel() == 0


class Deadlines:
    """All deadlines of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queues: dict[float, deque[Deadline]] = {}
        self._timers: dict[float, asyncio.TimerHandle] = {}

    def arm(self, task: asyncio.Task[object], allowance_s: float) -> Deadline:
        """Cancel `task` after `allowance_s` from now unless the deadline is disarmed."""
        deadline = Deadline(self._loop.time() + allowance_s, task)
        queue = self._queues.get(allowance_s)
        if queue is None:
            queue = self._queues[allowance_s] = deque()
        # What has ended goes at once: a task that is over would otherwise live on here for its whole allowance.
        while queue and queue[0].done:
            queue.popleft()
        queue.append(deadline)
        if allowance_s not in self._timers:
            self._timers[allowance_s] = self._loop.call_at(deadline.at_s, self._sweep, allowance_s)
        return deadline

    def _sweep(self, allowance_s: float) -> None:
        queue, now = self._queues[allowance_s], self._loop.time()
        while queue and (queue[0].done or queue[0].at_s <= now):
            deadline = queue.popleft()
            if not deadline.done:
                deadline.fired = True
                deadline.task.cancel()
        if queue:
            self._timers[allowance_s] = self._loop.call_at(queue[0].at_s, self._sweep, allowance_s)
        else:
            # Allowances can be as many as there are remainders of trials' time: keep none that is idle.
            del self._timers[allowance_s], self._queues[allowance_s]
