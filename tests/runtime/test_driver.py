"""The driver's loop under virtual time, over scripted clients and a log in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from crucible_ray.calls.budget import CEILING_STEP
from crucible_ray.errors import RestartsExhausted, StorageFailed
from crucible_ray.journal.entries import Head, decode_entry
from crucible_ray.journal.kept import kept_tables
from crucible_ray.journal.memory import MemoryLog
from crucible_ray.journal.rows import read_rows, rows_to_records
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.ports import Client, ClientLost
from crucible_ray.records import Exchange, Fatal, Report, Row
from crucible_ray.runtime.local import LocalSpawner
from crucible_ray.runtime.supervision import RestartBudget
from crucible_ray.runtime.trial import CallResult, HandedBack
from crucible_ray.testing import run_virtual
from tests.runtime.making import World, core, plan, said


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def state_of(log: MemoryLog) -> JournalState:
    return await read_state(log, conditions=2)


async def rows_of(log: MemoryLog) -> list[Row]:
    """The rows that count."""
    return [row for table in kept_tables(log, await state_of(log)) for row in rows_to_records(table)]


def heads(log: MemoryLog) -> list[Head]:
    return [decode_entry(data, number, "memory").head for number, data in sorted(log.entries.items())]


async def a_second(trial: int, index: int) -> CallResult:
    await asyncio.sleep(1.0)
    return said("A")


class Scripted:
    """A client that does as it is told: `answer` makes a report of each message, or raises."""

    def __init__(
        self, answer: Callable[[Exchange], Awaitable[Report]], beat: Callable[[], Awaitable[float]]
    ) -> None:
        self._answer, self._beat = answer, beat

    async def exchange(self, message: Exchange) -> Report:
        """See ports.Client."""
        return await self._answer(message)

    async def beat(self) -> float:
        """See ports.Client."""
        return await self._beat()


class OneClient:
    """A spawner of one hand-made client after the other; `kill` ends what hangs."""

    def __init__(self, *makes: Callable[[OneClient], Client]) -> None:
        self._makes = list(makes)
        self.killed: list[tuple[int, float]] = []
        self.dead: asyncio.Future[None] | None = None

    async def spawn(self, index: int, generation: int) -> Client:
        """See ports.Spawner."""
        self.dead = asyncio.get_running_loop().create_future()
        return self._makes[min(generation, len(self._makes) - 1)](self)

    async def kill(self, index: int) -> None:
        """See ports.Spawner."""
        self.killed.append((index, now_s()))
        if self.dead is not None and not self.dead.done():
            self.dead.set_result(None)

    async def until_dead(self) -> None:
        """What a call to a client that hangs does."""
        assert self.dead is not None
        await asyncio.shield(self.dead)
        raise ClientLost("killed")


def good(generation: int) -> Callable[[OneClient], Client]:
    """A client that answers everything at once."""

    def make(_: OneClient) -> Client:
        return core(plan(), generation=generation)[0]

    return make


async def quiet() -> float:
    return 0.0


@pytest.mark.parametrize("clients", [1, 3])
def test_every_trial_of_a_plan_gets_its_row(clients: int) -> None:
    async def main() -> None:
        world = World(plan(count=50), clients=clients)
        assert await (await world.driver()).run() == "complete"
        assert sorted(row.trial for row in await rows_of(world.log)) == list(range(100))
        assert heads(world.log)[-1].status == "complete"

    run_virtual(main())


def test_rows_are_durable_within_a_second() -> None:
    async def main() -> None:
        world = World(plan(count=20), a_second, window=1)
        driver = await world.driver()
        running = asyncio.create_task(driver.run())
        for second in range(2, 12):
            await asyncio.sleep(second + 0.999 - now_s())
            assert (await state_of(world.log)).kept.count >= second - 1
        assert await running == "complete"

    run_virtual(main())


def test_the_work_of_a_dead_client_is_done_by_the_others() -> None:
    async def main() -> None:
        world = World(plan(count=20), a_second, clients=2)
        driver = await world.driver()
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(1.5)
        held = driver.frontier.out_with(0)
        assert held
        await world.spawner._clients[0].kill()  # type: ignore[attr-defined]
        assert await running == "complete"
        assert len(await rows_of(world.log)) == 40
        assert [name for name, _ in world.events] == ["client_died"]
        assert world.events[0][1]["handed_back"] == driver.tally.handed_back == held

    run_virtual(main())


def test_a_client_that_says_nothing_for_a_minute_is_killed_and_replaced() -> None:
    """Its process lives and hangs: neither an exchange nor a beat is ever answered."""

    async def main() -> None:
        def hung(spawner: OneClient) -> Client:
            async def answer(message: Exchange) -> Report:
                await spawner.until_dead()
                raise AssertionError

            async def beat() -> float:
                await spawner.until_dead()
                raise AssertionError

            return Scripted(answer, beat)

        spawner = OneClient(hung, good(1))
        world = World(plan(), spawner=spawner)
        assert await (await world.driver()).run() == "complete"
        assert 60.0 <= spawner.killed[0][1] <= 70.0
        assert ("client_silent", {"client": 0}) in world.events
        assert len(await rows_of(world.log)) == 20

    run_virtual(main())


def test_a_client_that_works_for_long_and_answers_beats_is_left_alone() -> None:
    async def main() -> None:
        def slow(spawner: OneClient) -> Client:
            client = core(plan())[0]

            async def answer(message: Exchange) -> Report:
                await asyncio.sleep(500.0)
                return await client.exchange(message)

            return Scripted(answer, quiet)

        spawner = OneClient(slow)
        world = World(plan(), spawner=spawner)
        assert await (await world.driver()).run() == "complete"
        assert spawner.killed == []

    run_virtual(main())


def test_clients_that_keep_dying_end_the_run_with_what_was_done() -> None:
    async def answer(trial: int, index: int) -> CallResult:
        raise ZeroDivisionError

    async def main() -> None:
        world = World(plan(), answer, restarts=RestartBudget(max_restarts=2, window_s=60.0))
        with pytest.raises(RestartsExhausted, match="ZeroDivisionError") as exhausted:
            await (await world.driver()).run()
        assert exhausted.value.restarts == 2
        assert len(world.callers) == 3

    run_virtual(main())


def test_a_trial_that_kills_every_client_becomes_a_failed_row_and_the_others_are_done() -> None:
    guilty = 7

    async def answer(trial: int, index: int) -> CallResult:
        if trial == guilty:
            raise ZeroDivisionError
        await asyncio.sleep(0.1)
        return said("A")

    async def main() -> None:
        world = World(plan(count=20), answer, clients=2)
        driver = await world.driver()
        assert await driver.run() == "complete"
        rows = await rows_of(world.log)
        assert len(rows) == 40
        assert [row.trial for row in rows if row.error == "client_died"] == [guilty]
        assert all(row.error is None for row in rows if row.trial != guilty)
        assert driver.tally.failed == 1

    run_virtual(main())


def test_a_stop_lets_what_is_in_flight_finish_and_starts_nothing_more() -> None:
    async def main() -> None:
        world = World(plan(count=50), a_second, window=4)
        driver = await world.driver()
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(2.5)
        driver.stop("interrupted")
        assert await running == "interrupted"
        # The client hears of it with its next exchange, a second later at most.
        asked = len(world.callers[0].asked)
        assert 12 <= asked <= 16
        assert len(await rows_of(world.log)) == asked
        assert now_s() < 5.0
        assert heads(world.log)[-1].status == "interrupted"

    run_virtual(main())


def test_a_stop_waits_ten_seconds_for_what_hangs_and_leaves_it_pending() -> None:
    async def answer(trial: int, index: int) -> CallResult:
        if trial >= 4:
            await asyncio.sleep(1e6)
        return said("A")

    async def main() -> None:
        world = World(plan(count=50, randomize=False), answer, window=8)
        driver = await world.driver()
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(1.0)
        driver.stop("interrupted")
        assert await running == "interrupted"
        assert 11.0 <= now_s() <= 13.0
        assert len(await rows_of(world.log)) < 100
        assert driver.frontier.out == 0

    run_virtual(main())


@pytest.mark.parametrize("first", ["interrupted", "refused", "stopped", None])
def test_whoever_leaves_waits_for_no_call_and_keeps_every_row_that_came_in(first: str | None) -> None:
    async def answer(trial: int, index: int) -> CallResult:
        await asyncio.sleep(1e6 if trial % 10 == 9 else 0.1)
        return said("A")

    async def main() -> None:
        world = World(plan(count=400), answer, window=16, clients=2, bounds_usd=(0.01, 0.01))
        driver = await world.driver()
        running = asyncio.create_task(driver.run())
        await asyncio.sleep(0.55)
        if first is not None:
            driver.stop(first)
            await asyncio.sleep(0.05)
        left_s = now_s()
        driver.leave()
        assert await running == (first if first == "refused" else "interrupted")
        assert now_s() - left_s < 1.5
        state = await state_of(world.log)
        assert state.kept.count == driver.frontier.done.count >= 40
        assert driver.ended
        assert state.spent_usd == driver.ledger.spent_usd
        assert heads(world.log)[-1].ceiling_usd is None

    run_virtual(main())


def test_a_stop_before_anything_ran_leaves_an_empty_record() -> None:
    async def main() -> None:
        world = World(plan())
        driver = await world.driver()
        driver.stop("interrupted")
        assert await driver.run() == "interrupted"
        assert world.callers == []
        assert (await state_of(world.log)).kept.count == 0

    run_virtual(main())


def test_a_refusal_by_the_provider_stops_the_run() -> None:
    async def main() -> None:
        world = World(plan(count=50))
        fatal = Fatal(kind="authentication", model="m", detail="no")

        async def answer(trial: int, index: int) -> CallResult:
            await asyncio.sleep(0.5)
            if len(caller.asked) > 8:
                caller.gauges.fatal = fatal
                raise HandedBack
            return said("A")

        made, caller = core(world.plan, answer)
        world.spawner = LocalSpawner(lambda index, generation: made)
        driver = await world.driver()
        assert await driver.run() == "refused"
        assert driver.fatal == fatal
        rows = await rows_of(world.log)
        assert 0 < len(rows) < 20
        assert all(row.error is None for row in rows)

    run_virtual(main())


def test_a_row_that_comes_twice_is_logged_twice_and_counted_once() -> None:
    async def main() -> None:
        early: list[bytes] = []

        def forgetful(spawner: OneClient) -> Client:
            """Answers once, then says the same rows again, and dies."""
            client = core(plan(count=50), a_second)[0]

            async def answer(message: Exchange) -> Report:
                if len(early) == 2:
                    raise ClientLost("gone")
                report = await client.exchange(message)
                early.extend(filter(None, [report.rows]))
                return replace(report, rows=early[0] if early else b"")

            return Scripted(answer, quiet)

        def next_one(spawner: OneClient) -> Client:
            return core(plan(count=50), generation=1)[0]

        world = World(plan(count=50), spawner=OneClient(forgetful, next_one))
        driver = await world.driver()
        assert await driver.run() == "complete"
        state = await state_of(world.log)
        assert driver.frontier.duplicates == state.duplicates == len(rows_to_list(early[0]))
        assert driver.tally.rows == len(await rows_of(world.log)) == 100

    run_virtual(main())


def rows_to_list(rows: bytes) -> list[Row]:
    return list(rows_to_records(read_rows(rows)))


class FullDisk(MemoryLog):
    """Takes so many entries."""

    def __init__(self, room: int) -> None:
        super().__init__(clock=asyncio.get_running_loop().time)
        self._room = room

    def create_now(self, number: int, data: bytes) -> bool:
        if len(self.entries) >= self._room:
            raise StorageFailed("memory", "No space left on device")
        return super().create_now(number, data)


def test_a_log_that_takes_no_more_ends_the_run_with_its_own_words() -> None:
    async def main() -> None:
        world = World(plan(count=50), a_second, log=FullDisk(2), clients=2)
        with pytest.raises(StorageFailed, match="No space left"):
            await (await world.driver()).run()
        assert (await state_of(world.log)).kept.count > 0

    run_virtual(main())


# -- money ---------------------------------------------------------------------------------------------------------


def test_no_allowance_leaves_before_the_log_knows_of_it() -> None:
    async def main() -> None:
        client = core(plan(count=50))[0]
        log = MemoryLog(clock=asyncio.get_running_loop().time)
        given = held = 0.0

        async def answer(message: Exchange) -> Report:
            nonlocal given, held
            given += sum(message.allowance_usd)
            held += sum(message.allowance_usd)
            assert (await state_of(log)).spent_usd >= held - 1e-9
            report = await client.exchange(message)
            held -= sum(report.released_usd)
            return report

        world = World(
            plan(count=50),
            spawner=OneClient(lambda _: Scripted(answer, quiet)),
            log=log,
            bounds_usd=(0.01, 0.03),
        )
        assert await (await world.driver()).run() == "complete"
        assert given >= 50 * 0.04 - 1e-9

    run_virtual(main())


def test_what_would_count_after_a_crash_falls_with_the_trials_that_are_done() -> None:
    async def answer(trial: int, index: int) -> CallResult:
        await asyncio.sleep(0.1 if trial < 190 else 1e6)
        return said("A")

    async def main() -> None:
        world = World(plan(count=100, randomize=False), answer, window=200, bounds_usd=(0.01, 0.01))
        driver = await world.driver()
        running = asyncio.create_task(driver.run())
        most = 0.0
        for _ in range(60):
            await asyncio.sleep(0.1)
            most = max(most, (await state_of(world.log)).spent_usd)
        state = await state_of(world.log)  # as a driver finds it that comes after kill -9
        assert state.kept.count == 190
        assert most > 0.3
        assert 0.1 <= state.spent_usd <= 0.1 + 3 * CEILING_STEP
        driver.leave()
        await running

    run_virtual(main())


def test_money_that_comes_back_is_granted_again_until_all_is_done() -> None:
    async def main() -> None:
        world = World(plan(count=50), bounds_usd=(0.01, 0.03), limit_usd=1.0, clients=3)
        driver = await world.driver()
        assert await driver.run() == "complete"  # scripted calls cost nothing: all of it comes back
        assert driver.ledger.spent_usd == 0.0
        assert sum(driver.ledger.outstanding) == pytest.approx(0.0)

    run_virtual(main())


def test_what_a_dead_client_held_counts_as_spent() -> None:
    async def main() -> None:
        def dies(spawner: OneClient) -> Client:
            async def answer(message: Exchange) -> Report:
                seen.append(sum(message.allowance_usd))
                raise ClientLost("gone")

            return Scripted(answer, quiet)

        seen: list[float] = []
        world = World(plan(), spawner=OneClient(dies, good(1)), bounds_usd=(0.01, 0.03))
        driver = await world.driver()
        assert await driver.run() == "complete"
        assert driver.ledger.spent_usd == pytest.approx(seen[0]) != 0.0
        assert (await state_of(world.log)).spent_usd == pytest.approx(seen[0])

    run_virtual(main())


def test_a_run_ends_with_its_money_when_a_single_trial_costs_more() -> None:
    async def main() -> None:
        world = World(plan(), bounds_usd=(0.01, 0.03), limit_usd=0.005)
        assert await (await world.driver()).run() == "budget"
        assert world.callers == []
        assert heads(world.log)[-1].status == "budget"

    run_virtual(main())
