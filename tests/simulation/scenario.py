"""One seed from start to end, and what must hold whatever happened."""

from __future__ import annotations

import asyncio
from collections import Counter
from math import inf

from crucible_ray.journal.kept import kept_tables
from crucible_ray.journal.rows import rows_to_records
from crucible_ray.journal.state import JournalState, read_state
from crucible_ray.records import Row
from crucible_ray.testing import run_virtual
from tests.simulation.world import WINDOW_S, Attempt, Weather, World

LONGEST_S = 40_000.0
_MOST_STARTS = 200


class Violation(AssertionError):
    """An invariant does not hold."""


def play(seed: int, weather: Weather | None = None) -> World:
    """Run one seed to its end and check everything. Raises Violation."""
    return run_virtual(_bounded(seed, weather))


async def _bounded(seed: int, weather: Weather | None) -> World:
    try:
        async with asyncio.timeout(LONGEST_S):
            return await _play(seed, weather)
    except TimeoutError:
        raise Violation(f"seed {seed}: not finished after {LONGEST_S:.0f} virtual seconds") from None


async def _play(seed: int, weather: Weather | None) -> World:
    world = World(seed, weather)
    outages = asyncio.ensure_future(world.weather_of_provider())
    kills = world.weather.driver_kills
    budget = world.plan.budget.max_total
    for _ in range(_MOST_STARTS):
        status = await _life(world, kill=kills > 0, budget=budget)
        kills -= 1
        await check_money(world)
        await check_kept(world)
        if status == "complete":
            break
        if status == "budget":
            await check_budget(world, budget)
            budget = inf  # the user goes on with more money
        if status == "StorageFailed":
            world.weather.storage_faults = 0.0  # somebody mended the storage
    else:
        raise Violation(f"seed {seed}: not complete after {_MOST_STARTS} starts: {world.notes[-3:]}")
    outages.cancel()
    await check_rows(world)
    check_limit(world)
    if world.provider.open:
        raise Violation(f"{world.provider.open} requests are still in flight")
    return world


async def _life(world: World, *, kill: bool, budget: float | None) -> str:
    """One driver, perhaps killed, perhaps superseded by another; returns the status of the last."""
    attempt = world.last = await world.drive(take_over=True, budget=budget)
    clients = asyncio.ensure_future(world.weather_of_clients(attempt))
    hand = asyncio.ensure_future(world.hand_on_the_keys(attempt)) if world.stops > 0 else None
    try:
        if kill:
            await asyncio.wait([attempt.task], timeout=world.rng.uniform(0.1, 30.0))
            if not attempt.task.done():
                await attempt.kill()
                return "killed"
        elif world.weather.rivals and world.rng.random() < 0.5:
            await asyncio.wait([attempt.task], timeout=world.rng.uniform(0.1, 10.0))
            if not attempt.task.done():
                return await _rivals(world, attempt, budget)
        await asyncio.wait([attempt.task])
        return _status(attempt)
    finally:
        clients.cancel()
        if hand is not None:
            hand.cancel()


async def _rivals(world: World, first: Attempt, budget: float | None) -> str:
    second = world.last = await world.drive(take_over=True, budget=budget)
    await asyncio.wait([first.task, second.task])
    statuses = {_status(first), _status(second)}
    if statuses == {"complete"} and world.weather.clients:
        # Both may end well only one after the other: the second found everything done.
        return "complete"
    return next(iter(statuses - {"Superseded"}), "Superseded")


def _status(attempt: Attempt) -> str:
    return "killed" if attempt.task.cancelled() else attempt.task.result()


async def _state(world: World) -> JournalState:
    return await read_state(world.storage, conditions=len(world.plan.conditions))


async def kept(world: World) -> list[Row]:
    """The rows that count."""
    state = await _state(world)
    return [row for table in kept_tables(world.storage, state) for row in rows_to_records(table)]


async def check_rows(world: World) -> None:
    """Every planned trial has exactly one row."""
    state = await _state(world)
    rows = await kept(world)
    counts = Counter(row.trial for row in rows)
    planned = set(range(world.plan.trials))
    if set(counts) != planned:
        raise Violation(
            f"lost {sorted(planned - set(counts))[:5]}, invented {sorted(set(counts) - planned)[:5]}"
        )
    if doubled := [trial for trial, n in counts.items() if n > 1]:
        raise Violation(f"trials with more than one row: {doubled[:5]}")
    if state.kept.count != world.plan.trials:
        raise Violation(f"the journal counts {state.kept.count} of {world.plan.trials} trials")
    violent = world.weather.client_kills or world.weather.lost_answers
    for row in rows:
        if row.error == "client_died" and not violent:
            raise Violation(f"trial {row.trial} is said to have killed its client: {world.notes}")
        if row.error is None and (row.correct is None or row.latency_us is None or not row.calls):
            raise Violation(f"trial {row.trial} was answered and lacks its score, latency or calls")
        if row.error not in (None, "parse_failed") and row.correct is not None:
            raise Violation(f"trial {row.trial} failed and has a score")


async def check_kept(world: World) -> None:
    """A driver that ends in good order leaves every row in the log that it heard of."""
    driver = world.last.driver if world.last is not None else None
    if driver is None or not driver.ended:
        return
    state = await _state(world)
    if driver.frontier.done.count != state.kept.count:
        raise Violation(f"heard of {driver.frontier.done.count} trials, {state.kept.count} are in the log")


async def check_money(world: World) -> None:
    """The log never knows of less money than the provider charged."""
    state = await _state(world)
    if world.provider.charged_usd > state.spent_usd + 1e-9:
        raise Violation(f"charged {world.provider.charged_usd:.6f}, the log says {state.spent_usd:.6f}")


async def check_budget(world: World, budget: float | None) -> None:
    """A budget is not passed, and is used up to a trial's bound."""
    if budget in (None, inf):
        raise Violation("stopped by a budget that is not there")
    if world.provider.charged_usd > budget + 1e-9:
        raise Violation(f"charged {world.provider.charged_usd:.6f} of a budget of {budget:.6f}")
    state = await _state(world)
    if state.spent_usd > budget + 1e-9:
        raise Violation(f"the log says {state.spent_usd:.6f} of a budget of {budget:.6f}")
    if budget - state.spent_usd > max(0.01 * budget, max(world.bounds)) + 1e-9:
        raise Violation(f"stopped at {state.spent_usd:.6f} of {budget:.6f}")


def check_limit(world: World) -> None:
    """No sliding minute at the provider holds more than the limits, and nothing was refused for them."""
    weather, arrivals = world.weather, world.provider.arrivals
    run = 60.0 * weather.run_rate if weather.run_rate is not None else None
    for limit in (weather.rpm, run):
        first = 0
        for last, at in enumerate(arrivals if limit is not None else ()):
            while arrivals[first] <= at - WINDOW_S:
                first += 1
            if last - first + 1 > (limit or 0.0):
                raise Violation(
                    f"{last - first + 1} requests in the minute before {at:.1f} s, limit {limit:.0f}"
                )
    if weather.tpm is not None and world.provider.most_tokens > weather.tpm:
        raise Violation(f"{world.provider.most_tokens} tokens in a minute, limit {weather.tpm:.0f}")
    if world.provider.refused:
        raise Violation(f"{world.provider.refused} requests were refused by the limit")
