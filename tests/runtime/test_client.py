"""The core of a client, under virtual time: exchanges, and real calls over a transport that does as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import pytest

from crucible_ray.calls.limit_state import MemoryStates
from crucible_ray.experiment.grid import Order
from crucible_ray.experiment.plan import Plan
from crucible_ray.models.transport import Response
from crucible_ray.ports import Limiter
from crucible_ray.records import Grant, Limits
from crucible_ray.runtime.client import ClientCore, Setup
from crucible_ray.runtime.lanes import lanes_of
from crucible_ray.runtime.limiter import LimiterService
from crucible_ray.runtime.live import live_client
from crucible_ray.runtime.trial import CallResult
from crucible_ray.testing import run_virtual
from tests.runtime.making import (
    at_once,
    call_of,
    condition,
    core,
    exchange,
    items,
    model,
    plan,
    rows_in,
    said,
    unreachable,
)

PRICES: dict[str, Any] = {"input_price": 1000.0, "output_price": 2000.0}


def spans(*ranks: tuple[int, int], lane: int = 0) -> tuple[Grant, ...]:
    return (Grant(lane=lane, spans=ranks),)


def singles(*trials: int, lane: int = 0) -> tuple[Grant, ...]:
    return (Grant(lane=lane, trials=trials),)


async def after(seconds: float) -> None:
    await asyncio.sleep(seconds)


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_granted_blocks_come_back_as_one_row_for_each_of_their_trials() -> None:
    async def main() -> None:
        client, caller = core(plan())
        report = await client.exchange(exchange(1, grants=spans((0, 3))))
        order = Order(blocks=10, conditions=2, seed=plan().seed)
        expected = order.trials_at(np.arange(3)).ravel().tolist()
        assert sorted(row.trial for row in rows_in(report)) == sorted(expected) == sorted(caller.asked)
        assert (report.unstarted, report.in_flight, report.returned) == ((0,), (0,), ())
        await client.close()

    run_virtual(main())


def test_no_more_than_the_window_are_in_flight() -> None:
    async def main() -> None:
        client, caller = core(plan(), unreachable, window=3)
        report = await client.exchange(exchange(1, grants=singles(*range(10)), low_water=(-1,)))
        assert caller.asked == [0, 1, 2]
        assert (report.unstarted, report.in_flight) == ((7,), (3,))
        await client.close()

    run_virtual(main())


def test_each_lane_has_a_window_of_its_own_and_a_blocked_one_stalls_no_other() -> None:
    async def answer(trial: int, index: int) -> CallResult:
        return await (unreachable if trial % 2 == 0 else at_once)(trial, index)

    async def main() -> None:
        two = plan(condition("a", call_of(model("m"))), condition("b", call_of(model("n"))))
        client, _ = core(two, answer, window=2)
        grants = (Grant(lane=0, trials=(0, 2, 4, 6)), Grant(lane=1, trials=(1, 3, 5, 7)))
        report = await client.exchange(exchange(1, grants=grants, low_water=(-1, -1)))
        assert sorted(row.trial for row in rows_in(report)) == [1, 3, 5, 7]
        assert (report.unstarted, report.in_flight) == ((2, 0), (2, 0))
        await client.close()

    run_virtual(main())


def test_a_repeated_number_gets_the_same_report_and_the_work_is_done_once() -> None:
    async def main() -> None:
        client, caller = core(plan())
        message = exchange(1, grants=singles(0, 1), allowance_usd=(1.0, 1.0))
        first = await client.exchange(message)
        assert await client.exchange(message) is first
        second = await client.exchange(exchange(2, grants=singles(2)))
        assert [row.trial for row in rows_in(second)] == [2]
        assert sorted(caller.asked) == [0, 1, 2]
        assert first.released_usd == (1.0, 1.0)
        assert second.released_usd == (0.0, 0.0)
        await client.close()

    run_virtual(main())


def test_a_message_of_another_generation_is_an_error() -> None:
    async def main() -> None:
        client, _ = core(plan(), generation=2)
        with pytest.raises(RuntimeError, match="generation"):
            await client.exchange(exchange(1))
        await client.close()

    run_virtual(main())


def test_rows_are_answered_within_the_time_that_the_driver_asked_for() -> None:
    async def answer(trial: int, index: int) -> CallResult:
        await after(1.2 if trial == 0 else 100.0)
        return said("A")

    async def main() -> None:
        client, _ = core(plan(), answer)
        message = exchange(1, grants=singles(0, 1), low_water=(-1,), answer_within_s=0.25)
        report = await client.exchange(message)
        assert rows_in(report) == []  # a sign of life, within a second
        message = exchange(2, low_water=(-1,), answer_within_s=0.25)
        report = await client.exchange(message)
        assert [row.trial for row in rows_in(report)] == [0]
        assert now_s() <= 1.2 + 0.25 + 1e-9
        await client.close()

    run_virtual(main())


def test_an_exchange_is_answered_early_when_the_queue_reaches_the_low_water() -> None:
    async def answer(trial: int, index: int) -> CallResult:
        await after(0.05)
        return said("A")

    async def main() -> None:
        client, caller = core(plan(count=20), answer, window=2)
        report = await client.exchange(
            exchange(1, grants=singles(*range(10)), low_water=(4,), answer_within_s=60.0)
        )
        assert report.unstarted == (4,)
        assert now_s() == pytest.approx(0.1)
        assert len(caller.asked) == 6
        await client.close()

    run_virtual(main())


def test_a_client_that_has_nothing_left_answers_at_once() -> None:
    async def main() -> None:
        client, _ = core(plan())
        await client.exchange(exchange(1, grants=singles(0), low_water=(-1,), answer_within_s=60.0))
        assert now_s() == 0.0
        await client.close()

    run_virtual(main())


def test_a_stop_hands_back_what_has_not_started_and_lets_the_rest_finish() -> None:
    async def answer(trial: int, index: int) -> CallResult:
        await after(5.0)
        return said("A")

    async def main() -> None:
        client, caller = core(plan(), answer, window=2)
        await client.exchange(exchange(1, grants=singles(*range(6)), low_water=(-1,)))
        report = await client.exchange(exchange(2, stop=True, low_water=(-1,)))
        assert sorted(report.returned) == [2, 3, 4, 5]
        assert report.in_flight == (2,)
        number, finished = 3, []
        while report.in_flight != (0,) or rows_in(report):
            finished += [row.trial for row in rows_in(report)]
            report = await client.exchange(exchange(number, stop=True, low_water=(-1,)))
            number += 1
        assert sorted(finished) == [0, 1]
        assert caller.asked == [0, 1]
        await client.close()

    run_virtual(main())


def test_a_stop_comes_back_with_work_that_was_granted_in_the_same_breath() -> None:
    async def main() -> None:
        client, caller = core(plan())
        report = await client.exchange(exchange(1, grants=singles(0, 1), stop=True))
        assert (report.returned, caller.asked) == ((0, 1), [])
        await client.close()

    run_virtual(main())


def test_an_abandoned_client_hands_back_what_it_cut_short_as_well() -> None:
    async def main() -> None:
        client, _ = core(plan(), unreachable, window=2)
        await client.exchange(exchange(1, grants=singles(*range(4)), low_water=(-1,)))
        report = await client.exchange(exchange(2, stop=True, abandon=True))
        assert sorted(report.returned) == [0, 1, 2, 3]
        assert (report.in_flight, report.unstarted) == ((0,), (0,))
        await client.close()

    run_virtual(main())


def test_what_a_trial_raises_unexpectedly_ends_the_client() -> None:
    async def answer(trial: int, index: int) -> CallResult:
        raise ZeroDivisionError("in somebody's code")

    async def main() -> None:
        client, _ = core(plan(), answer)
        with pytest.raises(ZeroDivisionError):
            await client.exchange(exchange(1, grants=singles(0)))
        await client.close()

    run_virtual(main())


def test_a_closed_client_leaves_no_task_behind() -> None:
    async def main() -> None:
        client, _ = core(plan(), unreachable)
        await client.exchange(exchange(1, grants=singles(0, 1), low_water=(-1,)))
        await client.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


def test_the_text_of_a_prompt_travels_once() -> None:
    async def main() -> None:
        client, _ = core(plan())
        first = await client.exchange(exchange(1, grants=singles(0, 1)))
        second = await client.exchange(exchange(2, grants=singles(2, 3)))
        assert first.rows.count(b"Question 0?") == 1
        assert second.rows.count(b"Question 0?") == 0
        assert second.rows.count(b"Question 1?") == 1
        await client.close()

    run_virtual(main())


# -- money, over a transport ---------------------------------------------------------------------------------------

Server = Callable[[int, bytes], Awaitable[Response]]


class FakeTransport:
    """Satisfies Transport: request number and body go in, a response comes out."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.bodies: list[bytes] = []

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, deadline_s: float | None = None
    ) -> Response:
        self.bodies.append(body)
        return await self._server(len(self.bodies) - 1, body)

    async def aclose(self) -> None:
        """Nothing is open."""


def ok(text: str = "A", status: int = 200) -> Response:
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    body = {
        "id": "x",
        "model": "m-1",
        "choices": [choice],
        "usage": {"prompt_tokens": 10, "completion_tokens": 1},
    }
    return Response(status, {}, msgspec.json.encode(body))


def error(status: int, **said: object) -> Response:
    return Response(status, {}, msgspec.json.encode({"error": {"message": "no", **said}}))


async def answers(number: int, body: bytes) -> Response:
    return ok()


def priced(**changes: Any) -> Plan:
    """One condition, one model with a price."""
    return plan(condition("a", call_of(model("m", **PRICES))), count=20, **changes)


def live(
    of: Plan, server: Server, *, window: int = 4, bound_usd: float | None = None
) -> tuple[ClientCore, FakeTransport]:
    """A client that makes real calls over a fake transport."""
    transport = FakeTransport(server)
    lanes = lanes_of(of.conditions)
    service = LimiterService(MemoryStates(asyncio.get_running_loop().time))

    async def limiter() -> Limiter:
        return service

    setup = Setup(
        plan=of,
        items=items(of.items),
        lanes=lanes,
        windows=(window,) * len(lanes),
        bounds_usd=() if bound_usd is None else (bound_usd,),
    )
    clock = asyncio.get_running_loop().time
    client = live_client(
        setup, keys={}, limiter=limiter, seed=0, cpu_clock=lambda: 0.0, transport=transport, clock=clock
    )
    return client, transport


BOUND = 0.1
"""More than any attempt may cost here."""
COST = 10 * 1000e-6 + 1 * 2000e-6


def test_what_was_spent_and_what_is_left_add_up_to_the_allowance() -> None:
    async def main() -> None:
        client, transport = live(priced(), answers, bound_usd=BOUND)
        report = await client.exchange(exchange(1, grants=singles(0, 1, 2), allowance_usd=(3 * BOUND,)))
        assert len(transport.bodies) == len(rows_in(report)) == 3
        assert report.spent_usd == pytest.approx((3 * COST,))
        assert report.released_usd[0] == pytest.approx(3 * BOUND - 3 * COST)
        await client.close()

    run_virtual(main())


def test_nothing_is_sent_without_money_and_the_driver_hears_at_once_what_is_wanted() -> None:
    async def main() -> None:
        client, transport = live(priced(), answers, bound_usd=BOUND)
        report = await client.exchange(
            exchange(1, grants=singles(0, 1), allowance_usd=(0.0,), low_water=(-1,), answer_within_s=60.0)
        )
        assert transport.bodies == []
        assert (report.waiting, now_s()) == (2, 0.0)
        wanted = report.wanted_usd[0]
        assert 0.0 < wanted <= 2 * BOUND
        report = await client.exchange(exchange(2, allowance_usd=(wanted,), low_water=(-1,)))
        assert len(transport.bodies) == len(rows_in(report)) == 2
        assert report.waiting == 0
        await client.close()

    run_virtual(main())


def test_where_money_is_refused_the_trials_that_wait_for_it_are_handed_back() -> None:
    async def main() -> None:
        client, transport = live(priced(), answers, bound_usd=BOUND)
        await client.exchange(exchange(1, grants=singles(0, 1), allowance_usd=(0.0,), low_water=(-1,)))
        report = await client.exchange(exchange(2, refuse_money=True, low_water=(-1,)))
        assert sorted(report.returned) == [0, 1]
        assert (report.rows, report.waiting, report.in_flight, transport.bodies) == (b"", 0, (0,), [])
        await client.close()

    run_virtual(main())


def test_a_retry_waits_for_money_of_its_own() -> None:
    async def server(number: int, body: bytes) -> Response:
        return ok("A") if number else Response(200, {}, b'{"choices": [{"mess')  # may have been charged

    async def main() -> None:
        client, _ = live(priced(), server, bound_usd=BOUND)
        report = await client.exchange(
            exchange(1, grants=singles(0), allowance_usd=(BOUND,), low_water=(-1,))
        )
        number = 2
        while not report.rows:
            allowance = (report.wanted_usd[0],) if report.waiting else (0.0,)
            report = await client.exchange(exchange(number, allowance_usd=allowance, low_water=(-1,)))
            number += 1
        (row,) = rows_in(report)
        assert [call.outcome for call in row.calls] == ["malformed", "ok"]
        assert row.calls[0].cost_estimated
        assert row.cost_usd is not None
        assert row.cost_usd > COST
        await client.close()

    run_virtual(main())


def test_an_interrupted_client_hands_back_what_sent_nothing_and_completes_what_is_half_answered() -> None:
    async def main() -> None:
        slow = model("slow", limits=Limits(requests_per_minute=60.0), **PRICES)
        both = condition("a", call_of(model("quick", **PRICES)), call_of(slow), vote="majority")
        one = condition("b", call_of(slow))
        client, transport = live(plan(both, one, count=5), answers, window=10)
        asked = asyncio.ensure_future(
            client.exchange(exchange(1, grants=singles(*range(10)), low_water=(-1,), answer_within_s=0.2))
        )
        await asyncio.sleep(0.5)
        first = await asked
        # Every quick member is answered; the slow model has let one or two requests through.
        assert sum(b"quick" in body for body in transport.bodies) == 5
        returned, rows = list(first.returned), len(rows_in(first))
        number = 2
        while len(returned) + rows < 10:
            report = await client.exchange(
                exchange(number, stop=True, hand_back_unsent=True, low_water=(-1,), answer_within_s=0.2)
            )
            returned += report.returned
            rows += len(rows_in(report))
            number += 1
        assert all(trial % 2 == 1 for trial in returned)
        assert len(returned) >= 3
        assert sum(b"quick" in body for body in transport.bodies) == 5
        await client.close()

    run_virtual(main())


def test_an_abandoned_attempt_counts_at_its_upper_bound() -> None:
    async def server(number: int, body: bytes) -> Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def main() -> None:
        client, transport = live(priced(), server, bound_usd=BOUND)
        await client.exchange(exchange(1, grants=singles(0), allowance_usd=(BOUND,), low_water=(-1,)))
        assert len(transport.bodies) == 1
        report = await client.exchange(exchange(2, stop=True, abandon=True))
        assert report.returned == (0,)
        assert report.spent_usd[0] > 8 * 2000e-6  # max_tokens alone
        assert report.spent_usd[0] + report.released_usd[0] == pytest.approx(BOUND)
        await client.close()

    run_virtual(main())


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(401, code="invalid_api_key"), "authentication"),
        (
            error(400, code="unsupported_parameter", param="temperature", type="invalid_request_error"),
            "refused",
        ),
    ],
)
def test_a_refusal_is_said_at_once_and_everything_is_handed_back(answer: Response, kind: str) -> None:
    async def server(number: int, body: bytes) -> Response:
        await after(0.01)
        return answer

    async def main() -> None:
        client, transport = live(priced(), server, window=3)
        report = await client.exchange(
            exchange(1, grants=singles(*range(10)), low_water=(-1,), answer_within_s=60.0)
        )
        assert report.fatal is not None
        assert (report.fatal.kind, report.fatal.model) == (kind, "m")
        returned = list(report.returned)
        while report.in_flight != (0,):
            report = await client.exchange(exchange(report.number + 1, stop=True, low_water=(-1,)))
            returned += report.returned
        assert sorted(returned) == list(range(10))
        assert len(transport.bodies) == 3
        await client.close()

    run_virtual(main())


def test_refusals_by_the_rate_are_counted_and_use_up_no_retry() -> None:
    async def server(number: int, body: bytes) -> Response:
        return (
            ok()
            if number >= 3
            else Response(429, {"retry-after": "2"}, b'{"error": {"message": "slow down"}}')
        )

    async def main() -> None:
        client, _ = live(priced(max_retries=0), server)
        report = await client.exchange(exchange(1, grants=singles(0), low_water=(-1,)))
        throttled = report.throttled
        while not report.rows:
            report = await client.exchange(exchange(report.number + 1, low_water=(-1,)))
            throttled += report.throttled
        (row,) = rows_in(report)
        assert (row.error, row.retries, throttled) == (None, 3, 3)
        assert now_s() >= 6.0
        assert row.latency_us == 0  # all of it was our own waiting
        await client.close()

    run_virtual(main())


def test_a_refusal_now_and_then_costs_a_second_and_not_the_pace_of_the_run() -> None:
    async def server(number: int, body: bytes) -> Response:
        await after(0.05)
        return ok() if number % 10 else error(429)

    async def main() -> None:
        client, _ = live(priced(repeats=10), server, window=8)
        report = await client.exchange(exchange(1, grants=singles(*range(200)), low_water=(-1,)))
        refused, rows = report.throttled, rows_in(report)
        while len(rows) < 200:
            report = await client.exchange(exchange(report.number + 1, low_water=(-1,)))
            refused, rows = refused + report.throttled, rows + rows_in(report)
        assert refused >= 20
        assert now_s() <= 2.0 * refused
        await client.close()

    run_virtual(main())


def test_sends_wait_for_their_slots_and_this_is_said() -> None:
    async def main() -> None:
        limited = plan(condition("a", call_of(model("m", limits=Limits(requests_per_minute=60.0)))), count=20)
        client, _ = live(limited, answers, window=10)
        report = await client.exchange(exchange(1, grants=singles(*range(5)), low_water=(-1,)))
        waited, rows = report.quota_wait_s, rows_in(report)
        while len(rows) < 5:
            report = await client.exchange(exchange(report.number + 1, low_water=(-1,)))
            waited, rows = waited + report.quota_wait_s, rows + rows_in(report)
        assert now_s() >= 4 * 60.0 / 60.0
        assert waited == pytest.approx(sum(range(5)) / 0.985, rel=0.2)
        assert all(row.latency_us == 0 for row in rows)
        await client.close()

    run_virtual(main())


def test_a_wait_for_a_slot_that_an_interrupt_cuts_short_is_said_too() -> None:
    async def main() -> None:
        slow = condition("a", call_of(model("m", limits=Limits(requests_per_minute=1.0))))
        client, transport = live(plan(slow), answers)
        waited_s = 0.0
        for number, stop in ((1, False), (2, False), (3, True)):
            grants = singles(0, 1) if number == 1 else ()
            report = await client.exchange(
                exchange(
                    number,
                    grants=grants,
                    stop=stop,
                    hand_back_unsent=stop,
                    low_water=(-1,),
                    answer_within_s=20.0,
                )
            )
            waited_s += report.quota_wait_s
        assert len(transport.bodies) == 1
        assert report.returned == (1,)
        assert waited_s == pytest.approx(now_s(), abs=0.1)
        assert waited_s > 15.0
        await client.close()

    run_virtual(main())


def test_an_attempt_that_takes_too_long_is_cut_off_and_tried_again() -> None:
    async def server(number: int, body: bytes) -> Response:
        if number == 0:
            await after(1e6)
        return ok()

    async def main() -> None:
        client, _ = live(priced(), server)
        report = await client.exchange(exchange(1, grants=singles(0), low_water=(-1,)))
        while not report.rows:
            report = await client.exchange(exchange(report.number + 1, low_water=(-1,)))
        (row,) = rows_in(report)
        assert [call.outcome for call in row.calls] == ["timeout", "ok"]
        assert row.calls[0].ended_us == pytest.approx(10e6)
        await client.close()

    run_virtual(main())


def test_a_trial_that_used_up_its_time_fails_although_retries_are_left() -> None:
    async def server(number: int, body: bytes) -> Response:
        await after(1e6)
        raise AssertionError

    async def main() -> None:
        client, transport = live(priced(max_retries=50), server)
        report = await client.exchange(exchange(1, grants=singles(0), low_water=(-1,)))
        while not report.rows:
            report = await client.exchange(exchange(report.number + 1, low_water=(-1,)))
        (row,) = rows_in(report)
        assert (row.error, len(transport.bodies)) == ("timeout", 2)  # 20 s of a trial, 10 s of an attempt
        await client.close()

    run_virtual(main())
