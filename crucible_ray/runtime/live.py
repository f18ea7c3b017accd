"""A client that makes real calls: the core, its caller and its transport, put together the same way everywhere."""

from __future__ import annotations

import random
import resource
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from crucible_ray.errors import CannotContinue
from crucible_ray.experiment.plan import Plan
from crucible_ray.models.engine import Engine
from crucible_ray.models.transport import Transport
from crucible_ray.ports import Limiter
from crucible_ray.runtime.caller import LiveCaller
from crucible_ray.runtime.client import ClientCore, Setup
from crucible_ray.runtime.lanes import Lanes


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
        directory=setup.directory,
    )
    core = ClientCore(setup, caller, cpu_clock=cpu_clock)
    caller.on_wanting = core.wanting
    return core


_MACOS_FILES = 10_240
SPARE_FILES = 200
"""What a process has open beside its connections."""


def raise_file_limit() -> int:
    """Every connection is an open file: raise the soft limit to the hard one; returns what may be open now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS says infinity and grants no more than this.
    wanted = max(soft, _MACOS_FILES) if hard == resource.RLIM_INFINITY else hard
    if soft != wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def most_connections(plan: Plan, lanes: Lanes, windows: Sequence[int]) -> int:
    """How many connections one client with these windows may have open at once."""
    return sum(
        window * max(max(1, len(plan.conditions[k].calls)) for k in lane)
        for lane, window in zip(lanes, windows, strict=True)
    )


def fitted(plan: Plan, lanes: Lanes, windows: tuple[int, ...], files: int) -> tuple[int, ...]:
    """The windows, narrowed until a client's connections fit into `files` open ones."""
    wanted = most_connections(plan, lanes, windows)
    room = files - SPARE_FILES
    if wanted <= room:
        return windows
    return tuple(max(1, int(window * max(room, 0) / wanted)) for window in windows)


def check_files(setup: Setup) -> None:
    """Raise the limit of this process. Raises CannotContinue where the client's connections do not fit into it."""
    files = raise_file_limit()
    wanted = most_connections(setup.plan, setup.lanes, setup.windows)
    if wanted + SPARE_FILES > files:
        raise CannotContinue(
            f"A client on this node may have {wanted:,} connections, and {files:,} open files are allowed there: "
            f"raise the limit (ulimit -Hn {wanted + SPARE_FILES}), or lower max_concurrent_queries, or use more clients."
        )
