"""Waiting for send slots, under virtual time."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest

from crucible_ray.calls.limit_state import MemoryStates
from crucible_ray.calls.slots import SlotQueue
from crucible_ray.records import Limits, SlotAsk, SlotGrant
from crucible_ray.runtime.limiter import LimiterService
from crucible_ray.testing import run_virtual

LIMITS = Limits(requests_per_minute=600.0)


async def sends(queue: SlotQueue, count: int) -> list[float]:
    loop = asyncio.get_running_loop()
    times: list[float] = []

    async def one() -> None:
        await queue.acquire(1)
        times.append(loop.time())

    await asyncio.gather(*(one() for _ in range(count)))
    queue.close()
    return times


def service() -> LimiterService:
    return LimiterService(MemoryStates(asyncio.get_running_loop().time))


def test_a_burst_of_calls_leaves_at_the_pace_of_the_limit() -> None:
    async def main() -> list[float]:
        return await sends(SlotQueue(service(), "g", LIMITS), 100)

    times = run_virtual(main())
    gaps = [b - a for a, b in pairwise(times)]
    assert min(gaps) >= 60.0 / 600.0 - 1e-9
    assert times[-1] == pytest.approx(99 * 60.0 / (0.985 * 600.0), rel=0.01)


def test_two_clients_share_one_limit_and_none_starves() -> None:
    async def main() -> tuple[list[float], list[float]]:
        limiter = service()
        queues = [SlotQueue(limiter, "g", LIMITS) for _ in range(2)]
        first, second = await asyncio.gather(*(sends(q, 50) for q in queues))
        return first, second

    first, second = run_virtual(main())
    both = sorted(first + second)
    assert min(b - a for a, b in pairwise(both)) >= 60.0 / 600.0 - 1e-9
    assert abs(first[24] - second[24]) < 3.0


def test_calls_that_are_cut_short_while_slots_come_leave_the_queue_once() -> None:
    async def main() -> None:
        queue = SlotQueue(service(), "g", LIMITS)
        calls = [asyncio.create_task(queue.acquire(1)) for _ in range(50)]
        await asyncio.sleep(0.35)
        for call in calls:
            call.cancel()
        queue.drop()  # it looks for the next waiter before any of them has heard
        ended = await asyncio.gather(*calls, return_exceptions=True)
        queue.close()
        assert {type(each) for each in ended} == {int, asyncio.CancelledError}

    run_virtual(main())


def test_a_slot_that_expired_is_not_used() -> None:
    class Once:
        asks = 0

        async def slots(self, ask: SlotAsk) -> SlotGrant:
            self.asks += 1
            return SlotGrant(count=2, first_s=0.0, spacing_s=0.0, expires_s=0.25, binding=False)

    async def main() -> tuple[int, int]:
        limiter = Once()
        queue = SlotQueue(limiter, "g", LIMITS)
        await queue.acquire(1)
        await asyncio.sleep(10.0)
        await queue.acquire(1)
        queue.close()
        return limiter.asks, queue.expired

    asks, expired = run_virtual(main())
    assert asks >= 2
    assert expired >= 1


def test_a_cancelled_waiter_leaves_its_slot_to_the_next() -> None:
    async def main() -> float:
        queue = SlotQueue(service(), "g", Limits(requests_per_minute=60.0))
        await queue.acquire(1)
        given_up = asyncio.ensure_future(queue.acquire(1))
        await asyncio.sleep(0.1)
        given_up.cancel()
        await asyncio.wait([given_up])
        await queue.acquire(1)
        queue.close()
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(60.0 / (0.985 * 60.0), abs=0.2)


def test_while_the_limit_makes_nobody_wait_a_few_asks_a_second_serve_thousands_of_sends() -> None:
    class Generous:
        asks = 0

        async def slots(self, ask: SlotAsk) -> SlotGrant:
            self.asks += 1
            await asyncio.sleep(0.002)
            return SlotGrant(count=ask.count, first_s=0.0, spacing_s=0.0, expires_s=0.25, binding=False)

    async def main() -> tuple[int, float]:
        limiter, loop, slowest = Generous(), asyncio.get_running_loop(), 0.0
        queue = SlotQueue(limiter, "g", LIMITS)
        for k in range(10_000):
            asked_s = loop.time()
            await queue.acquire(1)
            if k > 5_000:
                slowest = max(slowest, loop.time() - asked_s)
            await asyncio.sleep(0.0002)
        queue.close()
        return limiter.asks, slowest

    asks, slowest = run_virtual(main())
    assert asks <= 40
    assert slowest == 0.0
