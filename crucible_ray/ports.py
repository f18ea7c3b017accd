"""The protocols that driver and clients are written against; local and Ray runtimes satisfy them."""

from __future__ import annotations

from typing import Protocol

from crucible_ray.records import Exchange, Report, SlotAsk, SlotGrant, Throttled


class Client(Protocol):
    """One client process, seen from the driver. Its calls raise ClientLost when it is dead."""

    async def exchange(self, message: Exchange) -> Report:
        """Long poll: hand over work, take rows."""
        ...

    async def beat(self) -> float:
        """Answer at once from a thread of its own: the longest current delay of the event loop, seconds."""
        ...


class Limiter(Protocol):
    """Send slots for every client of every experiment that shares a key."""

    async def slots(self, ask: SlotAsk) -> SlotGrant:
        """Wait until the next slots are near, then hand them out; first come, first served."""
        ...

    async def throttled(self, notice: Throttled) -> None:
        """A provider refused: move everybody's next send."""
        ...


class Spawner(Protocol):
    """Makes and unmakes clients."""

    async def spawn(self, index: int, generation: int) -> Client:
        """A fresh client, empty, holding its keys; raises CannotContinue where none can be had."""
        ...

    async def kill(self, index: int) -> None:
        """End the client at once; harmless when it is dead."""
        ...


class LogStore(Protocol):
    """Numbered immutable objects: the journal's log on disk, on an object store, or in memory."""

    @property
    def where(self) -> str:
        """For people: a path or an address."""
        ...

    async def create(self, number: int, data: bytes) -> bool:
        """Create-if-absent, whole or not at all, durable on return. False: the number is taken.

        Raises StorageFailed where nothing was written, AmbiguousWrite where that is unknown.
        """
        ...

    async def read(self, number: int) -> bytes:
        """The bytes of one entry; raises DamagedEntry where it is listed and cannot be read."""
        ...

    async def numbers(self) -> list[int]:
        """All numbers present, ascending."""
        ...

    async def say_alive(self, text: str) -> None:
        """Overwrite the `alive` note of the writer."""
        ...

    async def read_alive(self) -> tuple[str, float] | None:
        """The note and its age in seconds by the store's own clock; None where there is none."""
        ...


class ClientLost(Exception):
    """The client is dead, or has been silent for too long to be counted on."""


class AmbiguousWrite(Exception):
    """A write of which it is unknown whether it happened; the journal reads back."""
