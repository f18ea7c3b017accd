"""Both runtimes behind one face: the same tests hold for objects of this process and for actors on Ray."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest

from crucible_ray.api.fleet import Fleet, LocalFleet, RayFleet
from crucible_ray.ports import Spawner
from crucible_ray.runtime.client import Setup

T = TypeVar("T")


class Runtime(Protocol):
    """Where clients live in a test."""

    name: str

    async def spawner(self, setup: Setup, keys: dict[str, str] | None = None) -> Spawner:
        """Ready to spawn; ended by `run`."""
        ...

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """`asyncio.run`, and nothing is left of the clients afterwards."""
        ...


class _Runtime:
    def __init__(self, name: str, make: Callable[[], Fleet]) -> None:
        self.name = name
        self._make = make
        self._fleets: list[Fleet] = []

    async def spawner(self, setup: Setup, keys: dict[str, str] | None = None) -> Spawner:
        fleet = self._make()
        self._fleets.append(fleet)
        await fleet.ready()
        return fleet.spawner(setup, keys or {}, seed=0)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        async def whole() -> T:
            try:
                async with asyncio.timeout(60.0):
                    return await main
            finally:
                while self._fleets:
                    await self._fleets.pop().close()

        return asyncio.run(whole())


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.ray)])
def runtime(request: pytest.FixtureRequest) -> Runtime:
    """Each of the two runtimes in turn."""
    folder = Path(os.environ["CRUCIBLE_STATE_DIR"])
    if request.param == "local":
        return _Runtime("local", lambda: LocalFleet(folder))
    ray = request.getfixturevalue("ray_session")
    return _Runtime("ray", lambda: RayFleet(folder, ray))


def kill_process(pid: int) -> None:
    """As an accident would."""
    os.kill(pid, signal.SIGKILL)
