"""`ports.Limiter`: one contract, in this process and as an actor."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable
from itertools import chain
from pathlib import Path

import pytest

from crucible_ray.calls.limit_state import FileStates
from crucible_ray.calls.limits import HEADROOM
from crucible_ray.ports import Limiter
from crucible_ray.records import Limits, SlotAsk, Throttled
from crucible_ray.runtime.limiter import LimiterService
from tests.actors.conftest import kill_process

RPM = 1200.0
SPACING_S = 60.0 / (HEADROOM * RPM)


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.ray)])
def limiter(request: pytest.FixtureRequest) -> Callable[[], Limiter]:
    """Makes a handle of the limiter; call it on a loop."""
    state = os.environ["CRUCIBLE_STATE_DIR"]
    if request.param == "local":
        service = LimiterService(FileStates(Path(state)))
        return lambda: service
    request.getfixturevalue("ray_session")
    from crucible_ray.actors.limiter import RateLimiterRef

    return lambda: RateLimiterRef(state)


def ask(group: str, count: int = 1, **changes: object) -> SlotAsk:
    fields: dict[str, object] = {"tokens": 1, "limits": Limits(requests_per_minute=RPM)}
    return SlotAsk(group=group, count=count, **(fields | changes))  # type: ignore[arg-type]


@pytest.fixture
def group() -> str:
    """A limit group that nobody used before."""
    return f"test-{uuid.uuid4().hex}"


def run(main: Awaitable[None]) -> None:
    async def within() -> None:
        async with asyncio.timeout(60.0):
            await main

    asyncio.run(within())


async def sent_at(limiter: Limiter, group: str, count: int) -> list[float]:
    """When a client that asks for one slot after the other may send."""
    times: list[float] = []
    while len(times) < count:
        grant = await limiter.slots(ask(group, count - len(times)))
        arrived = asyncio.get_running_loop().time()
        times += [arrived + grant.first_s + k * grant.spacing_s for k in range(grant.count)]
    return times


def test_slots_are_spaced_by_the_limit(limiter: Callable[[], Limiter], group: str) -> None:
    async def main() -> None:
        times = await sent_at(limiter(), group, 30)
        # A late grant makes a send late, and the next one is not early for that: on the whole nobody is too fast.
        assert times[-1] - times[0] >= 29 * SPACING_S - 0.11

    run(main())


def test_clients_that_ask_together_share_one_limit(limiter: Callable[[], Limiter], group: str) -> None:
    async def main() -> None:
        times = sorted(chain(*await asyncio.gather(*(sent_at(limiter(), group, 10) for _ in range(3)))))
        assert len(times) == 30
        assert times[-1] - times[0] >= 29 * SPACING_S - 0.11

    run(main())


def test_groups_do_not_wait_for_each_other(limiter: Callable[[], Limiter], group: str) -> None:
    async def main() -> None:
        one = limiter()
        await one.throttled(Throttled(group=group, retry_after_s=3600.0, sent_per_minute=60.0))
        blocked = asyncio.ensure_future(one.slots(ask(group)))
        assert (await one.slots(ask(f"{group}-other"))).count == 1
        assert not blocked.done()
        blocked.cancel()

    run(main())


def test_a_refusal_moves_the_next_send_of_everybody(limiter: Callable[[], Limiter], group: str) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        await limiter().throttled(Throttled(group=group, retry_after_s=0.5, sent_per_minute=60.0))
        told_s = loop.time()
        grant = await limiter().slots(ask(group))
        assert (
            loop.time() + grant.first_s - told_s >= 0.4
        )  # the refusal was noted a moment before it was told here

    run(main())


def test_refunded_tokens_are_used_again(limiter: Callable[[], Limiter], group: str) -> None:
    async def main() -> None:
        one, limits = limiter(), Limits(tokens_per_minute=600.0)
        await one.slots(ask(group, tokens=600, limits=limits))
        # Without the refund, more than a minute later.
        grant = await one.slots(ask(group, tokens=600, limits=limits, refund=600))
        assert grant.count == 1

    run(main())


def test_the_lowest_limit_that_anybody_declares_holds(limiter: Callable[[], Limiter], group: str) -> None:
    async def main() -> None:
        await limiter().slots(ask(group, limits=Limits(requests_per_minute=60.0)))
        grant = await limiter().slots(ask(group, 10))
        assert grant.count == 1
        assert grant.spacing_s == pytest.approx(60.0 / (HEADROOM * 60.0))

    run(main())


@pytest.mark.ray
def test_a_limiter_that_is_killed_comes_back_and_remembers(ray_session: object, group: str) -> None:
    from crucible_ray.actors.limiter import RateLimiterRef

    async def main() -> None:
        loop = asyncio.get_running_loop()
        ref = RateLimiterRef(os.environ["CRUCIBLE_STATE_DIR"])
        await ref.slots(ask(group))
        await ref.throttled(Throttled(group=group, retry_after_s=5.0, sent_per_minute=60.0))
        told_s = loop.time()
        pid = await asyncio.to_thread(ref.pid)
        waiting = asyncio.ensure_future(ref.slots(ask(group)))
        kill_process(pid)
        grant = await waiting
        assert loop.time() + grant.first_s - told_s >= 4.8
        assert await asyncio.to_thread(ref.pid) != pid

    run(main())


@pytest.mark.ray
def test_every_ref_of_a_cluster_is_the_same_limiter(ray_session: object) -> None:
    from crucible_ray.actors.limiter import RateLimiterRef

    state = os.environ["CRUCIBLE_STATE_DIR"]

    async def main() -> None:
        first, second = RateLimiterRef(state), RateLimiterRef(state)
        assert await asyncio.to_thread(first.pid) == await asyncio.to_thread(second.pid)

    run(main())
