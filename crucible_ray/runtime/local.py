"""Every port in one process: `--in-process`, notebooks, replays, simulation and tests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from crucible_ray.ports import Client, ClientLost
from crucible_ray.records import Exchange, Report
from crucible_ray.runtime.client import ClientCore


class LocalClient:
    """A core behind the port: its failures and its end become ClientLost, as those of another process would."""

    def __init__(self, core: ClientCore) -> None:
        self._core = core
        self._dead: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def exchange(self, message: Exchange) -> Report:
        """See ports.Client."""
        if self._dead.done():
            raise ClientLost("killed")
        task = asyncio.ensure_future(self._core.exchange(message))
        either: set[asyncio.Future[Any]] = {task, self._dead}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
        if self._dead.done():
            raise ClientLost("killed")
        if (error := task.exception()) is not None:
            raise ClientLost(f"{type(error).__name__}: {error}") from error
        return task.result()

    async def beat(self) -> float:
        """See ports.Client."""
        if self._dead.done():
            raise ClientLost("killed")
        return await self._core.beat()

    async def kill(self) -> None:
        """End it now."""
        if not self._dead.done():
            self._dead.set_result(None)
        await self._core.close()


class LocalSpawner:
    """Clients as objects of this process."""

    def __init__(self, make: Callable[[int, int], ClientCore]) -> None:
        """`make(index, generation)` builds a fresh core."""
        self._make = make
        self._clients: dict[int, LocalClient] = {}

    async def spawn(self, index: int, generation: int) -> Client:
        """See ports.Spawner."""
        client = self._clients[index] = LocalClient(self._make(index, generation))
        return client

    async def kill(self, index: int) -> None:
        """See ports.Spawner."""
        client = self._clients.pop(index, None)
        if client is not None:
            await client.kill()

    async def close(self) -> None:
        """End all clients."""
        for index in list(self._clients):
            await self.kill(index)
