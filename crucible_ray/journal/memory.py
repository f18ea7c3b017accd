"""A log in memory: for tests, and for simulations in virtual time."""

from __future__ import annotations

import time
from collections.abc import Callable

from crucible_ray.journal.entries import damaged, entry_name
from crucible_ray.journal.store import BlockingLog, inline


class MemoryLog(BlockingLog):
    """A `ports.LogStore` that lives as long as the object; every driver that holds it shares it."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(inline)
        self.entries: dict[int, bytes] = {}
        self._alive: tuple[str, float] | None = None
        self._clock = clock

    @property
    def where(self) -> str:
        """See ports.LogStore."""
        return "memory"

    def create_now(self, number: int, data: bytes) -> bool:
        """See BlockingLog."""
        return self.entries.setdefault(number, data) is data

    def read_now(self, number: int) -> bytes:
        """See BlockingLog."""
        try:
            return self.entries[number]
        except KeyError:
            raise damaged(f"{self.where}/{entry_name(number)}", "it is gone") from None

    def numbers_now(self) -> list[int]:
        """See BlockingLog."""
        return sorted(self.entries)

    def say_alive_now(self, text: str) -> None:
        """See BlockingLog."""
        self._alive = (text, self._clock())

    def read_alive_now(self) -> tuple[str, float] | None:
        """See BlockingLog."""
        if self._alive is None:
            return None
        text, said_s = self._alive
        return text, self._clock() - said_s
