"""What disk, memory and object stores share: plain blocking methods, and `ports.LogStore` over them."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import ParamSpec, Protocol, TypeVar

from crucible_ray.errors import StorageFailed

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


class EarlierLog(BlockingLog):
    """A log as it was after one of its entries; nothing can be added to it."""

    def __init__(self, log: BlockingLog, last: int) -> None:
        super().__init__(log._offload)
        self._log, self._last = log, last

    @property
    def where(self) -> str:
        """See ports.LogStore."""
        return self._log.where

    def create_now(self, number: int, data: bytes) -> bool:
        """Refused. Raises StorageFailed."""
        raise StorageFailed(self.where, f"it is read as it was after entry {self._last}")

    def read_now(self, number: int) -> bytes:
        """See BlockingLog."""
        return self._log.read_now(number)

    def numbers_now(self) -> list[int]:
        """Those up to the last."""
        return [number for number in self._log.numbers_now() if number <= self._last]

    def say_alive_now(self, text: str) -> None:
        """See BlockingLog."""
        self._log.say_alive_now(text)

    def read_alive_now(self) -> tuple[str, float] | None:
        """See BlockingLog."""
        return self._log.read_alive_now()
