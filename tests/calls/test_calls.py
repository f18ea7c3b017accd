"""Retries, deadlines and money around one call."""

from __future__ import annotations

import asyncio
import random
import weakref
from math import inf

import pytest

from crucible_ray.calls.budget import Ledger, Purse
from crucible_ray.calls.deadlines import Deadlines
from crucible_ray.calls.retry import Patience, RetryPolicy
from crucible_ray.errors import Authentication, ConnectionStale, Overloaded, RateLimited
from crucible_ray.testing import run_virtual


def test_backoff_is_full_jitter_under_a_doubling_cap() -> None:
    policy = RetryPolicy(max_retries=3, delay_s=1.0)
    for seed in range(50):
        patience, rng = Patience(policy), random.Random(seed)
        waits = [patience.on_failure(Overloaded("busy"), rng) for _ in range(4)]
        assert waits[3] is None
        for k, wait in enumerate(waits[:3]):
            assert wait is not None
            assert 0.0 <= wait <= 2.0**k


def test_a_refusal_uses_up_no_retry_and_waits_as_long_as_it_was_told() -> None:
    patience, rng = Patience(RetryPolicy(max_retries=0)), random.Random(1)
    wait = patience.on_failure(RateLimited("slow down", 429, 5.0), rng)
    assert wait is not None
    assert 5.0 <= wait <= 5.1
    assert patience.retries == 0


def test_refusals_are_borne_for_ten_minutes_at_most() -> None:
    patience, rng = Patience(RetryPolicy()), random.Random(1)
    waits = [patience.on_failure(RateLimited("slow down", 429, 100.0), rng) for _ in range(7)]
    assert [w is None for w in waits] == [False] * 5 + [True] * 2


def test_one_send_into_a_closed_idle_connection_uses_up_no_retry_and_waits_for_nothing() -> None:
    patience, rng = Patience(RetryPolicy(max_retries=0)), random.Random(1)
    assert patience.on_failure(ConnectionStale("closed"), rng) == 0.0
    assert patience.on_failure(ConnectionStale("closed"), rng) is None


def test_a_refused_key_is_never_tried_again() -> None:
    assert Patience(RetryPolicy()).on_failure(Authentication("no"), random.Random(1)) is None


def test_a_deadline_cancels_its_call_and_only_its_call() -> None:
    async def main() -> tuple[str, float, float]:
        loop, deadlines = asyncio.get_running_loop(), Deadlines()

        async def call(work_s: float, allowance_s: float) -> tuple[str, float]:
            task = asyncio.current_task()
            assert task is not None
            deadline = deadlines.arm(task, allowance_s)
            try:
                await asyncio.sleep(work_s)
            except asyncio.CancelledError:
                if not deadline.swallow():
                    raise
                return "late", loop.time()
            finally:
                deadline.disarm()
            return "done", loop.time()

        slow, fast = await asyncio.gather(call(10.0, 2.0), call(1.0, 2.0))
        return slow[0] + fast[0], slow[1], fast[1]

    assert run_virtual(main()) == ("latedone", 2.0, 1.0)


def test_a_cancellation_from_outside_is_not_taken_for_a_deadline() -> None:
    async def main() -> bool:
        deadlines = Deadlines()

        async def call() -> None:
            task = asyncio.current_task()
            assert task is not None
            deadline = deadlines.arm(task, 5.0)
            try:
                await asyncio.sleep(10.0)
            except asyncio.CancelledError:
                if not deadline.swallow():
                    raise

        task = asyncio.ensure_future(call())
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert run_virtual(main())


def test_a_ledger_refuses_what_would_pass_the_budget_and_a_conditions_share() -> None:
    ledger = Ledger(limit_usd=1.0, condition_limit_usd=0.6, conditions=2, scale_usd=1.0)
    assert ledger.affords([0.6, 0.4])
    assert not ledger.affords([0.61, 0.0])
    assert not ledger.affords([0.6, 0.41])
    ledger.grant([0.5, 0.3])
    assert not ledger.affords([0.0, 0.21])
    ledger.settle([0.1, 0.1], [0.5, 0.3])
    assert ledger.affords([0.5, 0.3])
    assert ledger.spent_usd == pytest.approx(0.2)


def test_the_ceiling_is_raised_in_steps_ahead_of_what_is_committed() -> None:
    ledger = Ledger(limit_usd=1.0, conditions=1, scale_usd=1.0)
    ledger.grant([0.1])
    ceiling = ledger.ceiling_needed()
    assert ceiling == pytest.approx(0.12)
    ledger.ceiling_usd = 0.12
    ledger.grant([0.02])
    assert ledger.ceiling_needed() is None
    ledger.grant([0.87])
    assert ledger.ceiling_needed() == pytest.approx(1.0)


def test_the_ceiling_falls_with_what_is_committed_by_two_steps_or_more() -> None:
    ledger = Ledger(limit_usd=1.0, conditions=1, scale_usd=1.0)
    ledger.grant([0.9])
    ledger.ceiling_usd = 0.92
    ledger.settle([0.01], [0.02])
    assert ledger.lower_ceiling() == 0.92
    ledger.settle([0.1], [0.7])
    assert ledger.committed_usd == pytest.approx(0.29)
    assert ledger.lower_ceiling() == ledger.ceiling_usd == pytest.approx(0.31)
    ledger.grant([0.1])
    assert ledger.ceiling_needed() == pytest.approx(0.41)


def test_all_the_money_of_a_dead_client_counts_as_spent() -> None:
    ledger = Ledger(limit_usd=inf, conditions=1, scale_usd=1.0)
    ledger.grant([0.5])
    ledger.settle([0.1], [0.2])
    ledger.lost([0.3])
    assert ledger.spent_usd == pytest.approx(0.4)
    assert ledger.committed_usd == pytest.approx(0.4)


def test_a_purse_serves_whoever_waited_longest_and_hands_back_the_rest() -> None:
    purse = Purse(1)
    answers: list[bool] = []
    purse.credit([0.3])
    assert purse.try_reserve(0, 0.2)
    assert not purse.try_reserve(0, 0.2)
    purse.wait(0, 0.2, answers.append)
    assert purse.wanted[0] == pytest.approx(0.1)
    assert not purse.try_reserve(0, 0.01)
    purse.settle(0, 0.2, 0.05)
    assert answers == [True]
    purse.settle(0, 0.2, 0.2)
    spent, released = purse.report([0.0])
    assert spent[0] == pytest.approx(0.25)
    assert released[0] == pytest.approx(0.05)


def test_a_deadline_that_is_over_keeps_no_task_alive() -> None:
    async def main() -> int:
        deadlines = Deadlines()
        ended = weakref.WeakSet[asyncio.Task[object]]()

        async def call() -> None:
            task = asyncio.current_task()
            assert task is not None
            ended.add(task)
            deadlines.arm(task, 30.0).disarm()

        for _ in range(100):
            await asyncio.create_task(call())
        return len(ended)

    assert run_virtual(main()) <= 2
