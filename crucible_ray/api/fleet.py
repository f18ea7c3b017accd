"""Where clients live: actors on Ray, or objects of this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import platformdirs
from msgspec.structs import replace

from crucible_ray.api.debugging import at_breakpoints
from crucible_ray.calls.limit_state import FileStates
from crucible_ray.models.engine import Engine
from crucible_ray.ports import Limiter, Spawner
from crucible_ray.runtime.client import ClientCore, Setup
from crucible_ray.runtime.function_clock import DEBUGGING
from crucible_ray.runtime.limiter import LimiterService
from crucible_ray.runtime.live import live_client, raise_file_limit
from crucible_ray.runtime.local import LocalSpawner
from crucible_ray.stats.chunks import Arrays, Chunk, Draw, draw_here
from crucible_ray.stats.result import Floats

if TYPE_CHECKING:
    from crucible_ray.actors.client import RaySpawner
    from crucible_ray.actors.cluster import RayThread
    from crucible_ray.actors.resampling import RayDrawer


def state_dir(env: Mapping[str, str]) -> Path:
    """Where it is remembered what limits have been used: `$CRUCIBLE_STATE_DIR`, or the user's state folder."""
    return Path(env.get("CRUCIBLE_STATE_DIR") or platformdirs.user_state_dir("crucible-ray"))


class Fleet(Protocol):
    """A place for clients."""

    async def ready(self) -> int:
        """Wait until clients can live here; returns over how many machines. Raises CannotContinue."""
        ...

    def spawner(self, setup: Setup, keys: Mapping[str, str], seed: int) -> Spawner:
        """What makes clients; after `ready`."""
        ...

    async def close(self) -> None:
        """End every client."""
        ...

    def kill_one(self) -> bool:
        """Kill client 0 as an accident would; whether there was one."""
        ...

    def resample(
        self, draw: Draw, data: Arrays, chunks: Sequence[Chunk], /, *, values: int
    ) -> Iterable[Floats]:
        """A `stats.chunks.Drawer`: chunks of large work are drawn where clients live."""
        ...


class LocalFleet:
    """`--in-process`: the same plan, the same rows, and `breakpoint()` works."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._states: FileStates | None = None
        self._spawner: LocalSpawner | None = None
        self._stack = ExitStack()
        self._engines: list[Engine] = []

    async def ready(self) -> int:
        """See Fleet."""
        raise_file_limit()
        self._states = FileStates(self._folder)
        # Where somebody looks at a function with a debugger, its time no longer counts.
        self._stack.enter_context(at_breakpoints(DEBUGGING.set))
        return 1

    def spawner(self, setup: Setup, keys: Mapping[str, str], seed: int) -> Spawner:
        """See Fleet."""
        assert self._states is not None
        service = LimiterService(self._states)

        async def limiter() -> Limiter:
            return service

        def make(index: int, generation: int) -> ClientCore:
            engine = Engine()
            self._engines.append(engine)
            return live_client(
                replace(setup, generation=generation),
                keys=keys,
                limiter=limiter,
                seed=seed + index,
                cpu_clock=time.process_time,
                transport=engine,
            )

        self._spawner = LocalSpawner(make)
        return self._spawner

    async def close(self) -> None:
        """See Fleet."""
        self._stack.close()
        DEBUGGING.clear()
        if self._spawner is not None:
            await self._spawner.close()
        for engine in self._engines:
            await engine.aclose()
        if self._states is not None:
            self._states.close()

    def kill_one(self) -> bool:
        """See Fleet: an object cannot be killed from outside without Ray."""
        return False

    def resample(
        self, draw: Draw, data: Arrays, chunks: Sequence[Chunk], /, *, values: int
    ) -> Iterable[Floats]:
        """See Fleet."""
        return draw_here(draw, data, chunks, values=values)


class RayFleet:
    """Client actors on Ray."""

    def __init__(self, folder: Path, ray: RayThread) -> None:
        self._folder, self._ray = folder, ray
        self._spawner: RaySpawner | None = None
        self._there = False
        self._drawer: RayDrawer | None = None

    async def ready(self) -> int:
        """See Fleet."""
        from crucible_ray.actors.cluster import alive_nodes

        # Tried here first: an actor that cannot use the folder would only die of it, again and again.
        FileStates(self._folder).close()
        while not await asyncio.to_thread(self._ray.ready, 0.2):
            pass
        self._there = True
        return alive_nodes()

    def spawner(self, setup: Setup, keys: Mapping[str, str], seed: int) -> Spawner:
        """See Fleet."""
        from crucible_ray.actors.client import RaySpawner

        self._spawner = RaySpawner(setup, keys=keys, state_dir=str(self._folder), seed=seed)
        return self._spawner

    async def close(self) -> None:
        """See Fleet."""
        if self._spawner is not None:
            for index in list(self._spawner.refs):
                await self._spawner.kill(index)

    def kill_one(self) -> bool:
        """See Fleet."""
        return self._spawner is not None and self._spawner.kill_process(0)

    def resample(
        self, draw: Draw, data: Arrays, chunks: Sequence[Chunk], /, *, values: int
    ) -> Iterable[Floats]:
        """See Fleet."""
        if not self._there:  # nothing was left to run: Ray is not waited for to resample
            return draw_here(draw, data, chunks, values=values)
        if self._drawer is None:
            from crucible_ray.actors.resampling import RayDrawer

            self._drawer = RayDrawer()
        return self._drawer(draw, data, chunks, values=values)
