"""The time that a function condition has for one trial."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from crucible_ray.records import Call
from crucible_ray.runtime.trial import TrialClock

DEBUGGING = threading.Event()
"""Set once a function of this process has reached a `breakpoint()`: from then on no function is cut for its time."""


class FunctionClock(TrialClock):
    """The time of a function: its own, and that of its calls on the wire; not what they wait for quota or money."""

    __slots__ = (
        "_calls",
        "_left_s",
        "_loop",
        "_on_over",
        "_sending",
        "_since_s",
        "_timer",
        "over",
    )

    def __init__(self, trial: int, allowance_usd: float, known: list[Call] | None, limit_s: float) -> None:
        super().__init__(trial, allowance_usd, known)
        self._loop = asyncio.get_running_loop()
        self._left_s = limit_s
        self._since_s = self._loop.time()
        self._calls = self._sending = 0
        self._timer: asyncio.TimerHandle | None = None
        self._on_over: Callable[[], object] = lambda: None
        self.over: asyncio.Future[None] = self._loop.create_future()
        """Done when the time is over."""

    def start(self, on_over: Callable[[], object]) -> None:
        """The function begins; `on_over` is called where its time ends before it does."""
        self._on_over = on_over
        self._since_s = self._loop.time()
        self._arm()

    def stop(self) -> None:
        """The function has ended, or is not waited for."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._on_over = lambda: None

    @property
    def spent(self) -> bool:
        """See TrialClock."""
        return self.left_s() <= 0.0

    @property
    def finishes_first(self) -> bool:
        """See TrialClock."""
        return self.first_s is not None

    def left_s(self) -> float:
        """Seconds."""
        running = self._loop.time() - self._since_s if self._running else 0.0
        return self._left_s - running

    @property
    def _running(self) -> bool:
        return self._sending > 0 or self._calls == 0

    @contextmanager
    def called(self) -> Iterator[None]:
        """A call is open: the clock runs while one is on the wire."""
        self._count(calls=1)
        try:
            yield
        finally:
            self._count(calls=-1)

    @contextmanager
    def sending(self) -> Iterator[None]:
        """A request is on the wire; it has no more time than is left."""
        self._count(sending=1)
        try:
            yield
        finally:
            self._count(sending=-1)

    def _count(self, *, calls: int = 0, sending: int = 0) -> None:
        self._left_s, self._since_s = self.left_s(), self._loop.time()
        self._calls += calls
        self._sending += sending
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        # What is on the wire has a deadline of its own, and its attempt is to be recorded.
        if self._sending == 0 and (self._calls == 0 or self._left_s <= 0.0) and not self.over.done():
            self._timer = self._loop.call_later(max(0.0, self._left_s), self._end)

    def _end(self) -> None:
        if not self.over.done() and not DEBUGGING.is_set():
            self.over.set_result(None)
            self._on_over()
