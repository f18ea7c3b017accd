"""What disk, memory and object stores share: plain blocking methods, and `ports.LogStore` over them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import ParamSpec, Protocol, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Offload(Protocol):
    """Where blocking work is done: `asyncio.to_thread`, or `inline`."""

    def __call__(self, work: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Awaitable[_T]:
        """Do `work(*args, **kwargs)` and return what it returns."""
        ...


async def inline(work: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Do it here and now: for a loop in virtual time, where there are no threads."""
    return work(*args, **kwargs)


class BlockingLog(ABC):
    """A `ports.LogStore` made of blocking methods, which readers without a loop call directly."""

    def __init__(self, offload: Offload = asyncio.to_thread) -> None:
        self._offload = offload

    @property
    @abstractmethod
    def where(self) -> str:
        """See ports.LogStore."""

    @abstractmethod
    def create_now(self, number: int, data: bytes) -> bool:
        """`create`, in this thread."""

    @abstractmethod
    def read_now(self, number: int) -> bytes:
        """`read`, in this thread."""

    @abstractmethod
    def numbers_now(self) -> list[int]:
        """`numbers`, in this thread."""

    @abstractmethod
    def say_alive_now(self, text: str) -> None:
        """`say_alive`, in this thread."""

    @abstractmethod
    def read_alive_now(self) -> tuple[str, float] | None:
        """`read_alive`, in this thread."""

    async def create(self, number: int, data: bytes) -> bool:
        """See ports.LogStore."""
        return await self._offload(self.create_now, number, data)

    async def read(self, number: int) -> bytes:
        """See ports.LogStore."""
        return await self._offload(self.read_now, number)

    async def numbers(self) -> list[int]:
        """See ports.LogStore."""
        return await self._offload(self.numbers_now)

    async def say_alive(self, text: str) -> None:
        """See ports.LogStore."""
        await self._offload(self.say_alive_now, text)

    async def read_alive(self) -> tuple[str, float] | None:
        """See ports.LogStore."""
        return await self._offload(self.read_alive_now)
