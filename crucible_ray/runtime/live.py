"""A client that makes real calls: the core, its caller and its transport, put together the same way everywhere."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Awaitable, Callable, Mapping

from crucible_ray.models.engine import Engine
from crucible_ray.models.transport import Transport
from crucible_ray.ports import Limiter
from crucible_ray.runtime.caller import LiveCaller
from crucible_ray.runtime.client import ClientCore, Setup


def live_client(
    setup: Setup,
    *,
    keys: Mapping[str, str],
    limiter: Callable[[], Awaitable[Limiter]],
    seed: int,
    cpu_clock: Callable[[], float],
    transport: Transport | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> ClientCore:
    """A client core over the network; call inside its event loop. `seed` sows the jitter of back-offs alone.

    clock: what latencies are measured on; uvloop's own time moves in whole milliseconds.
    """
    caller = LiveCaller(
        setup.plan,
        keys=keys,
        transport=transport or Engine(),
        limiter=limiter,
        rng=random.Random(seed),
        clients=setup.clients,
        clock=clock,
    )
    core = ClientCore(setup, caller, cpu_clock=cpu_clock)
    caller.on_wanting = core.wanting
    return core


SPARE_FILES = 200
"""What a process has open beside its connections."""


def raise_file_limit() -> int:
    """Every connection is an open file: raise the soft limit to the hard one; returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
