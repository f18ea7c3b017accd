"""Waiting for asynchronous work from anywhere, a running event loop included, and interrupts that reach it.

| who waits | where the work runs | Ctrl-C, an interrupted cell |
| --- | --- | --- |
| a script's main thread | there | signals, in `running` |
| a thread of somebody's | there | their own affair |
| code inside a running loop (a notebook) | a thread of its own | the first stops in good order, the second at once |
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from functools import wraps
from typing import Any, ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Waiting:
    """Work that somebody waits for, and how to stop it from another thread."""

    def __init__(self, *, apart: bool) -> None:
        self.apart = apart
        """Whether the work has a thread of its own; else the process was started for it."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[Any] | None = None
        self._stop: Callable[[], None] | None = None

    async def run(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Do the work, so that `interrupt` finds it."""
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        return await work

    @contextmanager
    def stopped_by(self, stop: Callable[[], None]) -> Iterator[None]:
        """Have the first interrupt call `stop`, in the work's loop, while the block lasts."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def interrupt(self) -> None:
        """Stop in good order, or, where that was asked for already or is not possible, at once. From any thread."""
        if self._loop is None or self._task is None or self._loop.is_closed():
            return
        stop, self._stop = self._stop, None
        self._loop.call_soon_threadsafe(stop or self._task.cancel)


WAITING: ContextVar[Waiting | None] = ContextVar("WAITING", default=None)
"""Who waits for the work at hand; None: somebody's own coroutine."""


def wait(work: Coroutine[Any, Any, _T]) -> _T:
    """Run to the end. Raises KeyboardInterrupt where an interrupt cut the work short."""
    apart = asyncio._get_running_loop() is not None
    waiting = Waiting(apart=apart)
    token = WAITING.set(waiting)
    try:
        return _apart(work, waiting) if apart else asyncio.run(work)
    finally:
        WAITING.reset(token)


def waited(twin: Callable[_P, Coroutine[Any, Any, _T]]) -> Callable[_P, _T]:
    """The door that waits for what its `a`-prefixed twin does, with the same parameters and words."""

    @wraps(twin)
    def door(*args: _P.args, **options: _P.kwargs) -> _T:
        return wait(twin(*args, **options))

    door.__name__ = door.__qualname__ = twin.__name__.removeprefix("a")
    return door


def in_thread(door: Callable[_P, _T]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """The `a`-prefixed twin of a door that does its work in the thread that calls it."""

    @wraps(door)
    async def twin(*args: _P.args, **options: _P.kwargs) -> _T:
        return await asyncio.to_thread(door, *args, **options)

    twin.__name__ = twin.__qualname__ = f"a{door.__name__}"
    return twin


def _apart(work: Coroutine[Any, Any, _T], waiting: Waiting) -> _T:
    outcome: list[_T] = []
    failure: list[BaseException] = []
    over = threading.Event()

    def run() -> None:
        try:
            outcome.append(asyncio.run(waiting.run(work)))
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, not swallowed
            failure.append(error)
        finally:
            over.set()

    # With the caller's context, a notebook knows which cell the thread's output belongs to.
    thread = threading.Thread(target=copy_context().run, args=(run,), name="crucible-run")
    thread.start()
    # Not `join`: before Python 3.13 one that is interrupted takes a living thread for dead.
    while not over.is_set():
        try:
            over.wait()
        except KeyboardInterrupt:
            waiting.interrupt()
    thread.join()
    if failure and isinstance(failure[0], asyncio.CancelledError):
        raise KeyboardInterrupt from failure[0]
    if failure:
        raise failure[0]
    return outcome[0]
