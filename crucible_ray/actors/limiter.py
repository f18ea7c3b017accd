"""The rate limiter: one named actor for a whole cluster, shared by every experiment that uses the same key.

It holds nothing that its death would lose: the state is in the locked files of `calls.limit_state`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, cast

import ray
from ray.exceptions import RayActorError

from crucible_ray.actors.cluster import NAMESPACE
from crucible_ray.actors.spawn import spawn
from crucible_ray.calls.limit_state import FileStates
from crucible_ray.errors import CannotContinue
from crucible_ray.records import SlotAsk, SlotGrant, Throttled
from crucible_ray.runtime.limiter import LimiterService
from crucible_ray.runtime.supervision import RestartBudget, Verdict

NAME = "crucible/limiter/1"
"""Ends in the major version of its messages; they only grow within one."""


_MOST_DEATHS = 10


class RateLimiterActor:
    """The shell: the service in an actor's process."""

    def __init__(self, state_dir: str) -> None:
        self._service = LimiterService(FileStates(Path(state_dir)))

    async def slots(self, ask: SlotAsk) -> SlotGrant:
        """See ports.Limiter."""
        return await self._service.slots(ask)

    async def throttled(self, notice: Throttled) -> None:
        """See ports.Limiter."""
        await self._service.throttled(notice)

    async def pid(self) -> int:
        """Its process, for tests that kill it."""
        return os.getpid()


class RateLimiterRef:
    """What clients hold. Asks are harmless to repeat, so a limiter that died is replaced and asked again."""

    def __init__(self, state_dir: str) -> None:
        self._state_dir = state_dir
        self._handle = self._get()
        self._deaths = RestartBudget(max_restarts=_MOST_DEATHS, window_s=60.0)

    def _get(self) -> Any:
        return spawn(
            RateLimiterActor,
            self._state_dir,
            name=NAME,
            namespace=NAMESPACE,
            get_if_exists=True,
            lifetime="detached",
            max_restarts=-1,
            max_task_retries=-1,
            max_concurrency=10_000,
        )

    async def slots(self, ask: SlotAsk) -> SlotGrant:
        """See ports.Limiter. Raises CannotContinue where no limiter lives for long."""
        while True:
            try:
                return cast(SlotGrant, await self._handle.slots.remote(ask))
            except RayActorError as error:
                self._replace(error)

    async def throttled(self, notice: Throttled) -> None:
        """See ports.Limiter. Raises CannotContinue where no limiter lives for long."""
        while True:
            try:
                await self._handle.throttled.remote(notice)
            except RayActorError as error:
                self._replace(error)
            else:
                return

    def _replace(self, error: RayActorError) -> None:
        if self._deaths.on_crash(now_s=time.monotonic()) is Verdict.GIVE_UP:
            raise CannotContinue(
                f"The rate limiter cannot be kept alive; it was given {self._state_dir}."
            ) from error
        self._handle = self._get()

    def pid(self) -> int:
        """Its process, for tests that kill it."""
        return cast(int, ray.get(self._handle.pid.remote()))
