"""`ports.Client` and `ports.Spawner`: one contract, two runtimes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from crucible_ray.ports import Client, ClientLost
from crucible_ray.records import Exchange, Grant, Report
from crucible_ray.runtime.client import Setup
from crucible_ray.runtime.lanes import lanes_of
from crucible_ray.simulator import SimulatedModel, Simulator, SimulatorConfig, serve
from tests.actors.conftest import Runtime, kill_process
from tests.runtime.making import call_of, condition, exchange, items, model, plan, rows_in

QUICK = SimulatorConfig(models=(SimulatedModel(name="m", accuracy=1.0),))
STALLED = SimulatorConfig(models=(SimulatedModel(name="m"),), faults={"stall": 1.0})


def setup(url: str, *, window: int = 4, generation: int = 0, **changes: Any) -> Setup:
    """One model at `url`, ten items."""
    one = plan(condition("a", call_of(model("m", url=url, **changes))))
    return Setup(
        plan=one,
        items=items(10),
        lanes=lanes_of(one.conditions),
        windows=(window,),
        generation=generation,
    )


def granted(number: int, *trials: int, **changes: Any) -> Exchange:
    return exchange(
        number, grants=(Grant(lane=0, trials=trials),) if trials else (), low_water=(-1,), **changes
    )


async def rows_until_idle(client: Client, report: Report) -> dict[int, str | None]:
    """Trials and their errors, of this report and of all that follow until nothing is in flight."""
    rows = {row.trial: row.error for row in rows_in(report)}
    while report.in_flight != (0,) or report.unstarted != (0,):
        report = await client.exchange(granted(report.number + 1, generation=report.generation))
        rows |= {row.trial: row.error for row in rows_in(report)}
    return rows


@asynccontextmanager
async def serving(config: SimulatorConfig) -> AsyncIterator[Simulator]:
    async with serve(config, items=items(10)) as simulator:
        yield simulator


def test_a_client_makes_real_calls_and_reports_rows(runtime: Runtime) -> None:
    async def main() -> None:
        async with serving(QUICK) as provider:
            client = await (await runtime.spawner(setup(provider.url))).spawn(0, 0)
            rows = await rows_until_idle(client, await client.exchange(granted(1, *range(10))))
            assert rows == dict.fromkeys(range(10))
            assert provider.stats().requests == 10

    runtime.run(main())


def test_a_message_that_comes_twice_is_answered_twice_and_done_once(runtime: Runtime) -> None:
    async def main() -> None:
        async with serving(QUICK) as provider:
            client = await (await runtime.spawner(setup(provider.url))).spawn(0, 0)
            message = granted(1, 0, 1, 2)
            first, second = await client.exchange(message), await client.exchange(message)
            assert first == second
            rows = await rows_until_idle(client, second)
            assert sorted(rows) == [0, 1, 2]
            assert provider.stats().requests == 3

    runtime.run(main())


def test_a_message_for_an_earlier_life_is_the_clients_end(runtime: Runtime) -> None:
    async def main() -> None:
        async with serving(QUICK) as provider:
            client = await (await runtime.spawner(setup(provider.url))).spawn(0, 1)
            with pytest.raises(ClientLost, match="generation"):
                await client.exchange(granted(1, 0, generation=0))

    runtime.run(main())


def test_a_client_that_waits_for_its_provider_answers_beats(runtime: Runtime) -> None:
    async def main() -> None:
        async with serving(STALLED) as provider:
            client = await (await runtime.spawner(setup(provider.url))).spawn(0, 0)
            report = await client.exchange(granted(1, 0, 1))
            assert report.in_flight == (2,)
            waiting = asyncio.ensure_future(client.exchange(granted(2)))
            assert 0.0 <= await client.beat() < 5.0
            await waiting

    runtime.run(main())


def test_a_killed_client_ends_its_exchange_and_every_later_call(runtime: Runtime) -> None:
    async def main() -> None:
        async with serving(STALLED) as provider:
            spawner = await runtime.spawner(setup(provider.url))
            client = await spawner.spawn(0, 0)
            await client.exchange(granted(1, 0, 1))
            waiting = asyncio.ensure_future(client.exchange(granted(2)))
            await spawner.kill(0)
            with pytest.raises(ClientLost):
                await waiting
            with pytest.raises(ClientLost):
                await client.exchange(granted(3))
            with pytest.raises(ClientLost):
                await client.beat()
            await spawner.kill(0)  # harmless

    runtime.run(main())


def test_a_client_spawned_after_a_death_is_empty_and_of_the_next_generation(runtime: Runtime) -> None:
    async def main() -> None:
        async with serving(STALLED) as provider:
            spawner = await runtime.spawner(setup(provider.url))
            client = await spawner.spawn(0, 0)
            await client.exchange(granted(1, 0, 1))
            await spawner.kill(0)
            reborn = await spawner.spawn(0, 1)
            report = await reborn.exchange(granted(1, generation=1))
            assert (report.in_flight, report.unstarted, report.rows, report.returned) == ((0,), (0,), b"", ())
            assert report.generation == 1

    runtime.run(main())


def test_clients_of_one_spawner_know_nothing_of_each_other(runtime: Runtime) -> None:
    async def main() -> None:
        async with serving(QUICK) as provider:
            spawner = await runtime.spawner(setup(provider.url))
            first, second = [await spawner.spawn(index, 0) for index in range(2)]
            reports = await asyncio.gather(
                first.exchange(granted(1, 0, 1, 2)), second.exchange(granted(1, 3, 4))
            )
            rows = [await rows_until_idle(c, r) for c, r in zip((first, second), reports, strict=True)]
            assert [sorted(each) for each in rows] == [[0, 1, 2], [3, 4]]
            await spawner.kill(0)
            report = await second.exchange(granted(50, 5))
            assert sorted(await rows_until_idle(second, report)) == [5]

    runtime.run(main())


def test_an_abandoned_client_closes_its_connections_and_hands_everything_back(runtime: Runtime) -> None:
    async def main() -> None:
        async with serving(STALLED) as provider:
            client = await (await runtime.spawner(setup(provider.url, window=2))).spawn(0, 0)
            await client.exchange(granted(1, 0, 1, 2, 3))
            report = await client.exchange(granted(2, stop=True, abandon=True))
            assert sorted(report.returned) == [0, 1, 2, 3]
            while provider.stats().in_flight:
                await asyncio.sleep(0)  # until the server has seen the connections close
            assert provider.stats().cancelled == 2

    runtime.run(main())


def test_keys_reach_the_calls(runtime: Runtime) -> None:
    async def main() -> None:
        limited = SimulatorConfig(rpm=60.0, bucket_size=1.0, limit_kind="bucket")
        async with serving(limited) as provider:
            by_key = setup(provider.url, api_key_env="KEY")
            for key in ("sk-one", "sk-two"):
                # The provider admits one request of each key: it tells them apart.
                client = await (await runtime.spawner(by_key, {"KEY": key})).spawn(0, 0)
                rows = await rows_until_idle(client, await client.exchange(granted(1, 0)))
                assert rows == {0: None} or rows == {0: "parse_failed"}
            assert provider.stats().limited == 0

    runtime.run(main())


@pytest.mark.ray
def test_an_actor_whose_process_is_killed_is_lost_and_its_index_can_be_filled_again(
    ray_session: object,
) -> None:
    from crucible_ray.actors.client import ClientRef, RaySpawner

    async def main() -> None:
        async with serving(STALLED) as provider:
            state = os.environ["CRUCIBLE_STATE_DIR"]
            spawner = RaySpawner(setup(provider.url), keys={}, state_dir=state, seed=0)
            client = await spawner.spawn(0, 0)
            assert isinstance(client, ClientRef)
            assert client.pid != os.getpid()
            await client.exchange(granted(1, 0))
            waiting = asyncio.ensure_future(client.exchange(granted(2)))
            kill_process(client.pid)
            with pytest.raises(ClientLost):
                await waiting
            reborn = await spawner.spawn(0, 1)
            assert isinstance(reborn, ClientRef)
            assert reborn.pid != client.pid
            assert (await reborn.exchange(granted(1, generation=1))).in_flight == (0,)
            await spawner.kill(0)

    asyncio.run(main())


@pytest.mark.ray
def test_an_actor_whose_loop_is_blocked_answers_beats_and_says_for_how_long(ray_session: object) -> None:
    """User code that blocks the event loop is seen for what it is, and not taken for a death."""
    from crucible_ray.actors.client import RaySpawner

    async def main() -> None:
        async with serving(QUICK) as provider:
            # Rendering this takes seconds and never yields.
            heavy = "{% for a in range(3000) %}{% for b in range(3000) %}{% endfor %}{% endfor %}{{ input }}"
            one = plan(condition("a", call_of(model("m", url=provider.url)), template=heavy))
            blocked = Setup(plan=one, items=items(10), lanes=lanes_of(one.conditions), windows=(4,))
            spawner = RaySpawner(blocked, keys={}, state_dir=os.environ["CRUCIBLE_STATE_DIR"], seed=0)
            client = await spawner.spawn(0, 0)
            working = asyncio.ensure_future(client.exchange(granted(1, 0)))
            late_s = 0.0
            while not working.done():
                late_s = max(late_s, await client.beat())
            assert late_s > 0.1
            assert (await working).lag_s >= 0.0
            await spawner.kill(0)

    asyncio.run(main())
