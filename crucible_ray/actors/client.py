"""The client actor: a ClientCore on the event loop of a process of its own."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import time
from collections.abc import Mapping
from typing import Any, ClassVar, cast

import msgspec
import ray
from ray.exceptions import RayError

from crucible_ray.actors.limiter import RateLimiterRef
from crucible_ray.actors.spawn import spawn
from crucible_ray.errors import CrucibleError
from crucible_ray.journal.rows import warm_up
from crucible_ray.ports import Client, ClientLost, Limiter
from crucible_ray.records import Exchange, Report
from crucible_ray.runtime.client import ClientCore, Setup
from crucible_ray.runtime.live import check_files, live_client

_BEAT = "beat"


class ClientActor:
    """The shell. Keys come by `start`, never by the constructor: Ray keeps constructor arguments where they can be read."""

    CONCURRENCY_GROUPS: ClassVar[dict[str, int]] = {_BEAT: 1}

    def __init__(self) -> None:
        self._core: ClientCore | None = None

    async def start(self, setup: Setup, keys: Mapping[str, str], state_dir: str, seed: int) -> int:
        """Build the core on this process's loop; returns the process id."""
        check_files(setup)

        limiters: list[Limiter] = []

        async def limiter() -> Limiter:
            # Made with the first limit or 429; one for the life of this process.
            if not limiters:
                limiters.append(RateLimiterRef(state_dir))
            return limiters[0]

        self._core = live_client(setup, keys=keys, limiter=limiter, seed=seed, cpu_clock=time.process_time)
        warm_up()
        _collect_seldom(sum(setup.windows))
        return os.getpid()

    async def exchange(self, message: Exchange) -> Report:
        """See ports.Client."""
        assert self._core is not None
        return await self._core.exchange(message)

    async def beat(self) -> float:
        """See ports.Client; runs on a thread of its own, so that a blocked loop is seen for what it is."""
        assert self._core is not None
        return self._core.late_s()


def _collect_seldom(in_flight: int) -> None:
    """Thousands of calls live for seconds and leave no cycles: not to be scanned each time that so many more begin.

    Calls that begin together make some thirty objects each. A scan of them stops the loop for tenths of a second,
    after which calls come back closer together than before.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(max(20_000, 100 * in_flight), 50, 100)


class ClientRef:
    """What the driver holds."""

    def __init__(self, handle: Any, pid: int) -> None:
        self._handle, self.pid = handle, pid

    async def exchange(self, message: Exchange) -> Report:
        """See ports.Client."""
        try:
            return cast(Report, await self._handle.exchange.remote(message))
        except RayError as error:
            raise ClientLost(_last_line(error)) from error

    async def beat(self) -> float:
        """See ports.Client."""
        try:
            return cast(float, await self._handle.beat.options(concurrency_group=_BEAT).remote())
        except RayError as error:
            raise ClientLost(_last_line(error)) from error


class RaySpawner:
    """Client actors, spread over the cluster's nodes."""

    def __init__(self, setup: Setup, *, keys: Mapping[str, str], state_dir: str, seed: int) -> None:
        self._setup, self._keys, self._state_dir, self._seed = setup, dict(keys), state_dir, seed
        self._handles: dict[int, Any] = {}
        self.refs: dict[int, ClientRef] = {}

    async def spawn(self, index: int, generation: int) -> Client:
        """See ports.Spawner."""
        handle = self._handles[index] = spawn(
            ClientActor,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
            max_concurrency=16,
        )
        setup = msgspec.structs.replace(self._setup, generation=generation)
        seed = self._seed + 1_000_003 * index + generation
        try:
            pid = await handle.start.remote(setup, self._keys, self._state_dir, seed)
        except RayError as error:
            if isinstance(cause := getattr(error, "cause", None), CrucibleError):
                raise cause from None
            raise ClientLost(_last_line(error)) from error
        ref = self.refs[index] = ClientRef(handle, cast(int, pid))
        return ref

    async def kill(self, index: int) -> None:
        """See ports.Spawner."""
        handle = self._handles.pop(index, None)
        self.refs.pop(index, None)
        if handle is not None:
            ray.kill(handle, no_restart=True)

    def kill_process(self, index: int) -> bool:
        """Kill -9 a client's process, where it runs on this machine; whether there was one to kill."""
        ref = self.refs.get(index)
        if ref is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(ref.pid, signal.SIGKILL)
        return True

    def __repr__(self) -> str:
        return f"RaySpawner({len(self._handles)} clients)"


def _last_line(error: Exception) -> str:
    """Ray's errors carry whole tracebacks; their last line says what happened."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1] if lines else ''}"[:300]
